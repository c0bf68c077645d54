//! Role × table × verb: everybody tries everything on the rows of two projects,
//! and what the database lets them do is what `lines.rs` says. Beside that: what
//! foreign keys tell, what the owner's functions are, that nothing is left open.

mod calls;
mod lines;
mod who;

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use self::lines::{DEFINERS, Line, TELLING};
use self::who::{Kind, Row, Who, everybody};
use crate::scratch::{Scratch, connect};

const WORLD: &str = include_str!("matrix/world.sql");

const VERBS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

async fn world() -> (Scratch, Client) {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    admin.batch_execute(WORLD).await.unwrap_or_else(|error| panic!("world.sql: {error:?}"));
    (scratch, admin)
}

/// A table as the catalog has it.
struct Table {
    name: String,
    /// Columns of its primary key.
    key: Vec<String>,
    columns: Vec<String>,
    /// Of these, the ones that a row can be made with.
    written: Vec<String>,
}

impl Table {
    async fn all(admin: &Client) -> Vec<Self> {
        let sql = "
            SELECT c.relname::text,
                   ARRAY(SELECT a.attname::text FROM pg_attribute a JOIN pg_index i ON i.indrelid = a.attrelid
                         WHERE a.attrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)
                         ORDER BY a.attnum),
                   ARRAY(SELECT a.attname::text FROM pg_attribute a
                         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
                   ARRAY(SELECT a.attname::text FROM pg_attribute a
                         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                           AND a.attidentity <> 'a' AND a.attgenerated = '' ORDER BY a.attnum)
            FROM pg_class c
            WHERE c.relnamespace = 'ops'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            ORDER BY c.relname";
        let rows = admin.query(sql, &[]).await.unwrap();
        let table = |row: &tokio_postgres::Row| Self {
            name: row.get(0),
            key: row.get(1),
            columns: row.get(2),
            written: row.get(3),
        };
        rows.iter().map(table).collect()
    }

    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|known| known == column)
    }

    fn key_of(&self, alias: &str) -> String {
        let key = if self.key.is_empty() { &self.columns } else { &self.key };
        let parts: Vec<String> = key.iter().map(|column| format!("{alias}{column}::text")).collect();
        format!("concat_ws('/', {})", parts.join(", "))
    }

    /// Its rows, with what they belong to worked out from their columns.
    async fn rows(&self, admin: &Client) -> Vec<Row> {
        let or = |column: &str, way: &str, otherwise: &str| match self.has(column) {
            true => way.to_owned(),
            false => otherwise.to_owned(),
        };
        let run = or("run_id", "x.run_id", if self.name == "runs" { "x.id" } else { "NULL::uuid" });
        let tenant = match &*self.name {
            "tenants" => "x.id".to_owned(),
            "clusters" => {
                "(SELECT d.tenant_id FROM ops.tenant_databases d WHERE d.cluster_id = x.id)".to_owned()
            }
            _ => or(
                "tenant_id",
                "x.tenant_id",
                &format!("(SELECT r.tenant_id FROM ops.runs r WHERE r.id = {run})"),
            ),
        };
        let environment = match &*self.name {
            "environments" => "x.id".to_owned(),
            _ => format!(
                "COALESCE({}, (SELECT t.environment_id FROM ops.tenants t WHERE t.id = {tenant}))",
                or("environment_id", "x.environment_id", "NULL")
            ),
        };
        let project = match &*self.name {
            "projects" => "x.id".to_owned(),
            "audit_blocks" => "x.chain".to_owned(),
            "approval_decisions" => {
                "(SELECT a.project_id FROM ops.approvals a WHERE a.id = x.approval_id)".to_owned()
            }
            "secret_versions" => {
                "(SELECT s.project_id FROM ops.secrets s WHERE s.id = x.secret_id)".to_owned()
            }
            _ => format!(
                "COALESCE({}, (SELECT e.project_id FROM ops.environments e WHERE e.id = {environment}),
                          (SELECT r.project_id FROM ops.runs r WHERE r.id = {run}))",
                or("project_id", "x.project_id", "NULL")
            ),
        };
        let worker = match &*self.name {
            "workers" => "x.name".to_owned(),
            _ => format!(
                "(SELECT w.name FROM ops.workers w WHERE w.id = {})",
                or("worker_id", "x.worker_id", "NULL")
            ),
        };
        let login = match &*self.name {
            "users" => "x.login".to_owned(),
            "requests" => "(SELECT u.login FROM ops.users u WHERE 'user:' || u.id = x.requester)".to_owned(),
            _ => format!(
                "(SELECT u.login FROM ops.users u WHERE u.id = {})",
                or("user_id", "x.user_id", "NULL")
            ),
        };
        let key_name = match &*self.name {
            "requests" => "(SELECT k.name FROM ops.api_keys k WHERE 'key:' || k.id = x.requester)",
            _ => "NULL::text",
        };
        let sql = format!(
            "SELECT {key}, to_jsonb(x), (SELECT p.name FROM ops.projects p WHERE p.id = {project}),
                    (SELECT e.stage FROM ops.environments e WHERE e.id = {environment}),
                    (SELECT t.name FROM ops.tenants t WHERE t.id = {tenant}), {worker},
                    (SELECT w.name FROM ops.leases l JOIN ops.workers w ON w.id = l.worker_id WHERE l.run_id = {run}),
                    {login}, {key_name}
             FROM ops.{name} x",
            key = self.key_of("x."),
            name = self.name
        );
        let rows = admin.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let rows = rows.iter().map(|row| Row {
            key: row.get(0),
            json: row.get(1),
            project: row.get(2),
            stage: row.get(3),
            tenant: row.get(4),
            worker: row.get(5),
            holder: row.get(6),
            login: row.get(7),
            key_name: row.get(8),
        });
        // Of the audit's many rows, some of each project.
        let mut of = BTreeMap::<Option<String>, usize>::new();
        let some = |row: &Row| {
            let count = of.entry(row.project.clone()).or_default();
            *count += 1;
            self.name != "audit" || *count <= 3
        };
        rows.filter(some).collect()
    }
}

/// Somebody at a connection of their role's.
struct Session {
    client: Client,
    role: &'static str,
    claims: String,
}

impl Session {
    async fn of(scratch: &Scratch, admin: &Client, who: &Who) -> Self {
        let role = if who.is_worker() { "heddle_worker" } else { "heddle_user" };
        let client = connect(&format!("{} options='-c role={role}'", scratch.url())).await;
        let mut claims: Vec<(&str, String)> = Vec::new();
        let id = async |sql: &str, name: &str| {
            admin.query_one(sql, &[&name]).await.unwrap_or_else(|_| panic!("{name} is not there")).get(0)
        };
        let user = "SELECT id::text FROM ops.users WHERE login = $1";
        match who.kind {
            Kind::Nobody => {}
            Kind::User | Kind::Dead { key: false } => claims.push(("user", id(user, who.name).await)),
            Kind::Key { .. } | Kind::Dead { key: true } => {
                let sql = "SELECT id::text FROM ops.api_keys WHERE name = $1";
                claims.push(("key", id(sql, who.name).await));
                let sql = "SELECT COALESCE(user_id::text, '') FROM ops.api_keys WHERE name = $1";
                claims.push(("user", id(sql, who.name).await));
            }
            Kind::Worker => {
                let sql = "SELECT id::text FROM ops.workers WHERE name = $1";
                claims.push(("worker", id(sql, who.name).await));
            }
        }
        let claims: Vec<String> = claims
            .iter()
            .map(|(name, value)| format!("set_config('heddle.{name}', '{value}', true)"))
            .collect();
        let claims = if claims.is_empty() { "1".to_owned() } else { claims.join(", ") };
        Self { client, role, claims }
    }

    async fn begin(&self) {
        self.client.batch_execute(&format!("BEGIN; SELECT {}", self.claims)).await.unwrap();
    }

    async fn roll_back(&self) {
        self.client.batch_execute("ROLLBACK").await.unwrap();
    }

    /// Whether a policy or a missing right stopped it, on the way to `rows`.
    /// Whatever else went wrong, it was let through.
    async fn lets(
        &self,
        statement: &Statement,
        parameter: &(dyn ToSql + Sync),
    ) -> Result<bool, tokio_postgres::Error> {
        // Sent together.
        let parameters = [parameter];
        let (_, done, _) = tokio::join!(
            biased;
            self.client.batch_execute("SAVEPOINT tried"),
            self.client.execute(statement, &parameters),
            self.client.batch_execute("ROLLBACK TO tried"),
        );
        let code = |error: &tokio_postgres::Error| error.code().map(|code| code.code().to_owned());
        match done {
            Ok(rows) => Ok(rows > 0),
            Err(error) => match code(&error).as_deref() {
                Some("42501") => Ok(false),
                // A constraint, or a trigger that says so in words.
                Some(code) if code.starts_with("23") || code.starts_with("HD") => Ok(true),
                _ => Err(error),
            },
        }
    }

    async fn may_delete(&self, table: &Table) -> bool {
        let name = format!("ops.{}", table.name);
        let sql = "SELECT has_table_privilege($1, $2, 'DELETE')";
        self.client.query_one(sql, &[&self.role, &name]).await.unwrap().get(0)
    }

    async fn columns_with(&self, table: &Table, verb: &str) -> Vec<String> {
        let sql = "SELECT c FROM unnest($1::text[]) AS c WHERE has_column_privilege($2, $3, c, $4)";
        let name = format!("ops.{}", table.name);
        let rows = self.client.query(sql, &[&table.written, &self.role, &name, &verb]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// What came of a walk: how many attempts there were, and those that came out otherwise than written.
#[derive(Default)]
struct Walked {
    attempts: BTreeMap<&'static str, (usize, usize)>,
    wrong: Vec<String>,
}

impl Walked {
    fn count(
        &mut self,
        verb: &'static str,
        who: &Who,
        table: &Table,
        row: &Row,
        expected: bool,
        found: bool,
    ) {
        let counts = self.attempts.entry(verb).or_default();
        if found {
            counts.0 += 1;
        } else {
            counts.1 += 1;
        }
        if expected != found {
            let was = if found { "was let" } else { "was refused" };
            let place = [&row.project, &row.stage, &row.tenant, &row.worker, &row.login];
            let place: Vec<&str> = place.into_iter().flatten().map(String::as_str).collect();
            self.wrong.push(format!("{} {was} {verb} {} ({})", who.name, table.name, place.join(", ")));
        }
    }
}

async fn walk(session: &Session, who: &Who, table: &Table, line: &Line, rows: &[Row], walked: &mut Walked) {
    let rules = if who.is_worker() { line.workers } else { line.people };
    session.begin().await;
    let key = table.key_of("");
    session.client.batch_execute("SAVEPOINT looked").await.unwrap();
    let seen: BTreeSet<String> =
        match session.client.query(&format!("SELECT {key} FROM ops.{}", table.name), &[]).await {
            Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
            Err(error) => {
                assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{}: {error:?}", table.name);
                BTreeSet::new()
            }
        };
    session.client.batch_execute("ROLLBACK TO looked").await.unwrap();
    let may_insert = session.columns_with(table, "INSERT").await;
    let may_update = session.columns_with(table, "UPDATE").await;
    let inserted = if may_insert.is_empty() { &table.written } else { &may_insert };
    let insert = format!(
        "INSERT INTO ops.{name} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::ops.{name}, $1)",
        name = table.name,
        columns = inserted.join(", ")
    );
    let changed = may_update.first().or(table.written.first()).expect("a table has columns");
    let update = format!("UPDATE ops.{} SET {changed} = {changed} WHERE {key} = $1", table.name);
    // Of what may be written and not read, the change itself cannot be.
    let unread = format!("UPDATE ops.{} SET {changed} = NULL WHERE {key} = $1", table.name);
    let readable = session.columns_with(table, "SELECT").await.contains(changed);
    let update = if readable || may_update.is_empty() { update } else { unread };
    let delete = format!("DELETE FROM ops.{} WHERE {key} = $1", table.name);
    for row in rows {
        walked.count(VERBS[0], who, table, row, rules[0].lets(who, row), seen.contains(&row.key));
    }
    let changes = [
        (1, insert, !may_insert.is_empty()),
        (2, update, !may_update.is_empty()),
        (3, delete, session.may_delete(table).await),
    ];
    for (place, sql, granted) in changes {
        let statement = session.client.prepare(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        // Where the role has no such right at all, one attempt tells of every row.
        let first = rows.first().filter(|_| !granted);
        for row in first.map_or(rows, std::slice::from_ref) {
            let parameter: &(dyn ToSql + Sync) = if place == 1 { &row.json } else { &row.key };
            let found = session.lets(&statement, parameter).await;
            let found = found.unwrap_or_else(|error| panic!("{}: {sql}: {error:?}", who.name));
            walked.count(VERBS[place], who, table, row, rules[place].lets(who, row), found);
        }
        if !granted {
            let expected = rows.iter().filter(|row| rules[place].lets(who, row));
            walked
                .wrong
                .extend(expected.map(|row| format!("{} has no right to {sql} {}", who.name, row.key)));
        }
    }
    session.roll_back().await;
}

#[tokio::test]
async fn everybody_may_do_what_is_written_and_nothing_else() {
    let (scratch, admin) = world().await;
    let lines = lines::lines();
    let tables = Table::all(&admin).await;
    let known: BTreeSet<&str> = lines.iter().map(|line| line.table).collect();
    assert_eq!(known.len(), lines.len(), "a table has two lines");
    let there: BTreeSet<&str> = tables.iter().map(|table| &*table.name).collect();
    assert_eq!(
        there.difference(&known).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "tables without a line in lines.rs"
    );
    assert_eq!(known.difference(&there).collect::<Vec<_>>(), Vec::<&&str>::new(), "lines without a table");

    let mut work = Vec::new();
    for line in &lines {
        let table = tables.iter().find(|table| table.name == line.table).expect("it is there");
        let rows = table.rows(&admin).await;
        assert!(!rows.is_empty(), "world.sql has no row of {}", table.name);
        let of = |project: &str| rows.iter().any(|row| row.project.as_deref() == Some(project));
        assert_eq!(of("alpha"), of("beta"), "world.sql has rows of {} in one project only", table.name);
        work.push((table, line, rows));
    }
    let everybody = everybody();
    let mut walked = Walked::default();
    for who in &everybody {
        let session = Session::of(&scratch, &admin, who).await;
        for (table, line, rows) in &work {
            walk(&session, who, table, line, rows, &mut walked).await;
        }
    }
    println!("{} who × {} tables × 4 verbs:", everybody.len(), work.len());
    for (verb, (allowed, refused)) in &walked.attempts {
        println!("  {verb}: {} attempts, {allowed} allowed, {refused} refused", allowed + refused);
    }
    assert!(
        walked.wrong.is_empty(),
        "{} came out otherwise:\n{}",
        walked.wrong.len(),
        walked.wrong.join("\n")
    );
    for verb in VERBS {
        let (allowed, refused) = walked.attempts[verb];
        assert!(allowed > 0 && refused > 0, "{verb} was never both: {allowed} and {refused}");
    }
}

/// Row-level security is on and forced for every table, partitions included;
/// the owner's functions and control have their policies; views use the
/// reader's rights.
#[tokio::test]
async fn nothing_is_left_open() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let names = async |sql: &str| -> Vec<String> {
        admin.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    let none = Vec::<String>::new();
    let open = "SELECT relname::text FROM pg_class
                WHERE relnamespace = 'ops'::regnamespace AND relkind IN ('r', 'p')
                  AND NOT (relrowsecurity AND relforcerowsecurity)";
    assert_eq!(names(open).await, none, "tables without forced row-level security");
    let foreign = "SELECT relname::text FROM pg_class
                   WHERE relnamespace = 'ops'::regnamespace AND pg_get_userbyid(relowner) <> 'heddle_owner'";
    assert_eq!(names(foreign).await, none, "relations that are not the owner's");
    let blind = "SELECT c.relname::text FROM pg_class c
                 WHERE c.relnamespace = 'ops'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                   AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid
                                   AND p.polroles = ARRAY['heddle_owner'::regrole::oid])";
    assert_eq!(names(blind).await, none, "tables that the owner's functions do not see");
    let partitions = "SELECT DISTINCT c.relname::text
                      FROM pg_class c, aclexplode(c.relacl) a
                      WHERE c.relnamespace = 'ops'::regnamespace AND c.relispartition
                        AND a.grantee IN ('heddle_user'::regrole, 'heddle_worker'::regrole, 0)";
    assert_eq!(names(partitions).await, none, "partitions that can be read past their table");
    let views = "SELECT relname::text FROM pg_class
                 WHERE relnamespace = 'ops'::regnamespace AND relkind IN ('v', 'm')
                   AND NOT COALESCE('security_invoker=true' = ANY (reloptions), false)";
    assert_eq!(names(views).await, none, "views that read with their owner's rights");
    let public = "SELECT DISTINCT c.relname::text FROM pg_class c, aclexplode(c.relacl) a
                  WHERE c.relnamespace = 'ops'::regnamespace AND a.grantee = 0";
    assert_eq!(names(public).await, none, "relations that PUBLIC has rights in");
    let bypass = "SELECT rolname::text FROM pg_roles
                  WHERE rolname LIKE 'heddle\\_%' AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb
                        OR rolreplication OR (rolcanlogin AND rolname <> 'heddle_control'))";
    assert_eq!(names(bypass).await, none, "roles with a right too many");
}

/// Functions that act as the schema's owner: a pinned search_path, called by
/// those who are written down and by nobody else.
#[tokio::test]
async fn the_owners_functions_are_known() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let sql = "
        SELECT p.proname::text, p.prorettype = 'trigger'::regtype,
               COALESCE(array_to_string(p.proconfig, ' '), '') ~ '(^| )search_path=\"\"( |$)',
               has_function_privilege('heddle_control', p.oid, 'EXECUTE'),
               has_function_privilege('heddle_user', p.oid, 'EXECUTE'),
               has_function_privilege('heddle_worker', p.oid, 'EXECUTE'),
               EXISTS (SELECT FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
        FROM pg_proc p WHERE p.pronamespace = 'ops'::regnamespace AND p.prosecdef ORDER BY 1";
    let rows = admin.query(sql, &[]).await.unwrap();
    let mut found = BTreeMap::new();
    let mut triggers = 0;
    for row in &rows {
        let name: String = row.get(0);
        assert!(row.get::<_, bool>(2), "{name} has no pinned search_path");
        assert!(!row.get::<_, bool>(6), "{name} can be called by PUBLIC");
        let callers: String = [(3, 'c'), (4, 'u'), (5, 'w')]
            .iter()
            .filter(|(at, _)| row.get(*at))
            .map(|(_, who)| who)
            .collect();
        if row.get(1) {
            assert_eq!(callers, "", "the trigger function {name} can be called");
            triggers += 1;
        } else {
            found.insert(name, callers);
        }
    }
    let written: BTreeMap<String, String> =
        DEFINERS.iter().map(|(name, callers)| ((*name).to_owned(), (*callers).to_owned())).collect();
    println!("{} functions of the owner's, {triggers} of them of triggers", rows.len());
    assert_eq!(found, written);
}

/// Naming another project's row tells no more than naming one that is not there.
#[tokio::test]
async fn foreign_keys_tell_nothing() {
    let (scratch, admin) = world().await;
    let sql = "
        SELECT c.conrelid::regclass::text, a.attname::text, c.confrelid::regclass::text, f.attname::text
        FROM pg_constraint c
        CROSS JOIN unnest(c.conkey, c.confkey) AS k (from_column, to_column)
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.from_column AND a.atttypid = 'uuid'::regtype
        JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.to_column
        WHERE c.contype = 'f' AND c.connamespace = 'ops'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_class r WHERE r.oid = c.conrelid AND r.relispartition)
        ORDER BY 1, 2";
    let keys = admin.query(sql, &[]).await.unwrap();
    let tables = Table::all(&admin).await;
    let (mut tried, mut told) = (0, BTreeSet::new());
    for who in everybody().iter().filter(|who| matches!(who.name, "owner" | "holder")) {
        let session = Session::of(&scratch, &admin, who).await;
        for key in &keys {
            let (from, column): (String, String) = (key.get(0), key.get(1));
            let (to, to_column): (String, String) = (key.get(2), key.get(3));
            let name = from.trim_start_matches("ops.");
            let table = tables.iter().find(|table| table.name == name).expect("it is there");
            let may_insert = session.columns_with(table, "INSERT").await;
            // Its own id refers to nothing.
            if column == "id" || !may_insert.contains(&column) {
                continue;
            }
            let other = tables.iter().find(|table| to == format!("ops.{}", table.name)).expect("it is there");
            let others = other.rows(&admin).await;
            let theirs = others.iter().find(|row| match &*other.name {
                "users" => row.login.as_deref() == Some("stranger"),
                "workers" => row.worker.as_deref() == Some("host"),
                _ => row.project.as_deref() == Some("beta"),
            });
            let Some(theirs) = theirs else { continue };
            let rows = table.rows(&admin).await;
            let Some(template) = rows.iter().find(|row| {
                row.project.as_deref() == Some("alpha") && row.stage.as_deref() != Some("production")
                    || row.worker.as_deref() == Some("holder")
            }) else {
                continue;
            };
            let mut answers = Vec::new();
            for named in [theirs.json[&to_column].clone(), Uuid::new_v4().to_string().into()] {
                let mut row = template.json.clone();
                for fresh in ["id", "name", "prefix", "subdomain", "idempotency_key"] {
                    if row.get(fresh).is_some_and(serde_json::Value::is_string) && table.has(fresh) {
                        let id = Uuid::new_v4().to_string();
                        row[fresh] = if fresh == "id" { id.into() } else { format!("n{}", &id[..8]).into() };
                    }
                }
                row[&column] = named;
                let columns = may_insert.join(", ");
                let insert = format!(
                    "INSERT INTO {from} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{from}, $1)"
                );
                session.begin().await;
                let done = session.client.execute(&insert, &[&row]).await;
                // Those that wait for the commit speak too.
                let done = match done {
                    Ok(_) => session.client.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await.map(|()| 1),
                    failed => failed,
                };
                answers.push(match done {
                    Ok(_) => "done".to_owned(),
                    Err(error) => {
                        let error = error.as_db_error().expect("the database has refused it");
                        format!("{} {}", error.code().code(), error.message())
                    }
                });
                session.roll_back().await;
            }
            tried += 1;
            if answers[0] != answers[1] {
                told.insert((name.to_owned(), column.clone(), format!("{}: {answers:?}", who.name)));
            }
        }
    }
    let excused = |table: &str, column: &str| TELLING.contains(&(table, column));
    let telling: Vec<_> = told.iter().filter(|(table, column, _)| !excused(table, column)).collect();
    println!(
        "{tried} foreign keys tried with another project's row and with none; {} may tell",
        TELLING.len()
    );
    assert!(tried > 20, "only {tried} foreign keys were tried");
    assert!(telling.is_empty(), "{telling:#?}");
    for (table, column) in TELLING {
        assert!(
            told.iter().any(|(t, c, _)| t == table && c == column),
            "{table}.{column} tells nothing: take it out"
        );
    }
}

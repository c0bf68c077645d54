//! A real Odoo with values planted all over it: copied, neutralised, proven,
//! started.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use copies::plan::Plan;
use copies::{Catalog, Database, FindingKind, Identity, Proof, Question, Rules, neutralise, prove};
use odoo::Source;
use odoo::sql::FreshTenant;
use tokio_postgres::Client;

use crate::scratch::{Scratch, column};

const MODULES: &str =
    "base,auth_crypt,auth_signup,calendar,contacts,crm,fetchmail,iap,sms,document,link_tracker";
const PASSWORD: &str = "st4ging pässword";

/// Values that are nowhere else, and how many there are.
struct Canaries(Vec<String>);

impl Canaries {
    fn next(&mut self) -> String {
        self.0.push(format!("Canary{:04}xyzzy", self.0.len()));
        self.0[self.0.len() - 1].clone()
    }
}

fn source() -> Source {
    let path: PathBuf = match std::env::var_os("HEDDLE_TEST_ODOO") {
        Some(path) => path.into(),
        None => panic!("HEDDLE_TEST_ODOO does not name an Odoo; `make test` makes one and sets it"),
    };
    Source::detect(&path, None).unwrap()
}

/// Odoo's own command line, to its end.
fn odoo(scratch: &Scratch, source: &Source, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(&source.python);
    command
        .arg(&source.program)
        .args(arguments)
        .arg("--db_host")
        .arg(scratch.path("run"))
        .args(["--db_port", "5432", "-r", "odoo", "--no-http", "--max-cron-threads", "0", "--data-dir"])
        .arg(scratch.path("odoo"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

/// One value in some row of every text column that is hidden in all rows.
async fn plant_everywhere(client: &Client, canaries: &mut Canaries) {
    let catalog = Catalog::read(client).await.unwrap();
    let plan = Plan::make(&catalog, &Rules::shipped()).unwrap();
    for table in &plan.tables {
        let hidden =
            table.columns.iter().filter(|column| column.arms.iter().all(|arm| arm.transform.hides()));
        for column in hidden {
            let known = table.table.columns.iter().find(|one| one.name == column.name).unwrap();
            let words = match known.sort.word() {
                "text" if known.limit.is_none_or(|limit| limit > 20) => canaries.next(),
                "json" => format!("{{\"en_US\": \"{}\"}}", canaries.next()),
                _ => continue,
            };
            let name = table.table.quoted();
            let field = postgres::quote_identifier(&column.name);
            let statement = format!(
                "UPDATE {name} SET {field} = '{words}' WHERE ctid = (SELECT ctid FROM {name} \
                 WHERE {field} IS NOT NULL LIMIT 1)"
            );
            // An empty table, or a constraint on what may stand there.
            if client.execute(&statement, &[]).await.unwrap_or(0) == 0 {
                canaries.0.pop();
            }
        }
    }
}

/// Rows of the kinds that a fresh Odoo has none of.
async fn plant_rows(client: &Client, canaries: &mut Canaries) {
    let mut text = include_str!("plant.sql").to_owned();
    while let Some(at) = text.find("{canary}") {
        text.replace_range(at..at + 8, &canaries.next());
    }
    let wrapped = |value: &str| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(value)
    };
    let hidden = canaries.next();
    text = text.replace("{base64}", &wrapped(&format!("key: {hidden}")));
    client.batch_execute(&text).await.unwrap();
}

fn identity(addons: Vec<PathBuf>) -> Identity {
    Identity {
        fresh: FreshTenant {
            database_uuid: "0193e0c4-0000-7000-8000-000000000001".parse().unwrap(),
            secret: "the copy's own".into(),
            admin_password_hash: odoo::password::passlib_hash(PASSWORD),
            base_url: "http://staging.localhost:8080".into(),
        },
        catcher: Some(("127.0.0.1".into(), 2525)),
        addons,
    }
}

struct Court<'a> {
    source: &'a Database,
    pristine: &'a Database,
    rules: &'a Rules,
    canaries: &'a [String],
}

impl Court<'_> {
    async fn prove(&self, target: &Database, raw: &[PathBuf]) -> Proof {
        let question = Question {
            source: self.source,
            target,
            pristine: Some(self.pristine),
            rules: self.rules,
            canaries: self.canaries,
            raw,
        };
        prove(question).await.unwrap()
    }

    /// What is found after `cheat`, which is taken back.
    async fn caught(&self, scratch: &Scratch, target: &Database, cheat: &str, back: &str) -> Vec<String> {
        scratch.run(target, cheat).await;
        let proof = self.prove(target, &[]).await;
        scratch.run(target, back).await;
        proof.findings.iter().map(ToString::to_string).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_odoos_copy_holds_nobodys_data_and_starts() {
    let (scratch, odoo_source) = (Scratch::new(), source());
    let postgres = scratch.database("postgres");
    scratch.run(&postgres, "CREATE ROLE odoo LOGIN").await;
    scratch.run(&postgres, "CREATE DATABASE acme OWNER odoo TEMPLATE template0").await;
    odoo(&scratch, &odoo_source, &["-d", "acme", "-i", MODULES, "--stop-after-init"], "");
    let pristine = scratch.create("pristine", "acme").await;
    let acme = scratch.database("acme");
    let mut canaries = Canaries(Vec::new());
    let client = scratch.run(&acme, "").await;
    plant_rows(&client, &mut canaries).await;
    plant_everywhere(&client, &mut canaries).await;
    let planted = canaries.0.len();
    assert!(planted >= 150, "{planted} canaries");
    drop(client);

    scratch.run(&postgres, "CREATE DATABASE staging OWNER odoo TEMPLATE template0").await;
    let staging = Database { role: Some("odoo".into()), ..scratch.database("staging") };
    let rules = Rules::shipped();
    let copied = scratch.copy(&acme, &staging, &rules).await.unwrap();
    assert!(copied.rows > 5_000, "{copied:?}");
    assert_eq!(copied.large_objects_left_out, 1);
    let left_out: BTreeSet<&str> = copied.left_out.iter().map(|(table, _)| table.as_str()).collect();
    for table in ["mail_mail", "ir_mail_server", "fetchmail_server", "iap_account", "bus_bus"] {
        assert!(left_out.contains(table), "{left_out:?}");
    }
    // What this drops should be what was meant: nothing a tenant lives on.
    for table in ["res_partner", "res_users", "mail_message", "crm_lead", "ir_attachment", "ir_ui_view"] {
        assert!(!left_out.contains(table), "{left_out:?}");
    }
    let done = neutralise(&staging, &identity(odoo_source.addons.clone())).await.unwrap();
    assert_eq!(done.findings, []);
    assert!(done.own > 5, "{done:?}");

    let after = scratch.run(&postgres, "CHECKPOINT").await;
    let oid = column(&after, "SELECT oid::text FROM pg_database WHERE datname = 'staging'").await.concat();
    let raw = [scratch.path("cell/base").join(oid)];
    let court = Court { source: &acme, pristine: &pristine, rules: &rules, canaries: &canaries.0 };
    let proof = court.prove(&staging, &raw).await;
    let findings: Vec<String> = proof.findings.iter().map(ToString::to_string).collect();
    assert!(proof.passed(), "{findings:#?}");
    assert!(proof.values > planted && proof.searched_rows > 1 << 20 && proof.searched_files > 1 << 20);
    println!(
        "0 of {planted} canaries left; {} values searched in {} MB of rows and {} MB of files, {} checks",
        proof.values,
        proof.searched_rows >> 20,
        proof.searched_files >> 20,
        proof.checks
    );

    untouched_copies_fail(&scratch, &court).await;
    cheats_are_caught(&scratch, &court, &staging, &canaries.0[0]).await;
    let proof = court.prove(&staging, &[]).await;
    assert!(proof.passed(), "{:?}", proof.findings);

    let script = format!(
        "users = env['res.users']\n\
         print('OLD', users.authenticate('staging', 'admin', 'admin', {{}}))\n\
         print('NEW', users.authenticate('staging', 'admin', {PASSWORD:?}, {{}}))\n\
         print('PARTNER', env['res.partner'].create({{'name': 'Somebody new'}}).display_name)\n\
         print('BANNER', 'This is a copy' in str(env.ref('web.layout').read_combined(['arch'])['arch']))\n\
         print('VIEWS', len(env['ir.ui.view'].search([('type', '=', 'form')]).mapped('arch')) > 50)\n"
    );
    let said = odoo(&scratch, &odoo_source, &["shell", "-d", "staging"], &script);
    for line in ["OLD False", "NEW 1", "PARTNER Somebody new", "BANNER True", "VIEWS True"] {
        assert!(said.contains(line), "{line}:\n{said}");
    }
}

async fn untouched_copies_fail(scratch: &Scratch, court: &Court<'_>) {
    let untouched = scratch.create("untouched", "acme").await;
    let proof = court.prove(&untouched, &[]).await;
    assert!(!proof.passed());
    let kinds: BTreeSet<FindingKind> = proof.findings.iter().map(|finding| finding.kind).collect();
    for kind in [FindingKind::Value, FindingKind::Canary, FindingKind::State] {
        assert!(kinds.contains(&kind), "{kind:?} is not among {kinds:?}");
    }
    let places: Vec<&str> = proof.findings.iter().map(|finding| finding.place.as_str()).collect();
    for place in ["res_partner.name", "live crons", "database.secret"] {
        assert!(places.contains(&place) || proof.more > 0, "{place} is not among {places:?}");
    }
}

async fn cheats_are_caught(scratch: &Scratch, court: &Court<'_>, staging: &Database, canary: &str) {
    use base64::Engine;
    let wrapped = base64::engine::general_purpose::STANDARD.encode(format!("a token: {canary}"));
    let held = format!("repeat('{canary} ', 4000)");
    for (cheat, back, wanted) in [
        ("UPDATE ir_cron SET active = true".to_owned(), "UPDATE ir_cron SET active = false", "live crons: "),
        (
            "INSERT INTO ir_mail_server (name, smtp_host, smtp_port, smtp_encryption, active) \
             VALUES ('second', 'mail.acme.example', 25, 'none', true)"
                .into(),
            "DELETE FROM ir_mail_server WHERE name = 'second'",
            "mail servers but the catcher: ",
        ),
        (
            format!("CREATE UNLOGGED TABLE aside AS SELECT '{canary}'::text AS note"),
            "DROP TABLE aside",
            "aside.note: holds 1 values of ",
        ),
        (
            format!("CREATE TABLE aside AS SELECT '{{\"fr_FR\": \"«{canary}»\"}}'::jsonb AS name"),
            "DROP TABLE aside",
            "aside.name: holds 1 values of ",
        ),
        (
            format!("CREATE TABLE aside AS SELECT 'key={wrapped}'::text AS note"),
            "DROP TABLE aside",
            "aside.note: holds 1 values of ",
        ),
        (
            format!("CREATE TABLE aside AS SELECT {held} AS toasted"),
            "DROP TABLE aside",
            "aside.toasted: holds 1 values of ",
        ),
        (
            "CREATE TABLE acme_connector AS SELECT true AS active".into(),
            "DROP TABLE acme_connector",
            "acme_connector.active: 1 rows are live",
        ),
        (
            "ALTER TABLE res_users DROP CONSTRAINT res_users_partner_id_fkey".into(),
            "ALTER TABLE res_users ADD CONSTRAINT res_users_partner_id_fkey FOREIGN KEY (partner_id) \
             REFERENCES res_partner ON DELETE RESTRICT",
            "constraint res_users.res_users_partner_id_fkey: is in the source and not in the copy",
        ),
        (
            "UPDATE ir_config_parameter SET value = '' WHERE key = 'database.secret'".into(),
            "UPDATE ir_config_parameter SET value = 'mine again' WHERE key = 'database.secret'",
            "database.secret: is missing",
        ),
    ] {
        let findings = court.caught(scratch, staging, &cheat, back).await;
        assert!(findings.iter().any(|finding| finding.starts_with(wanted)), "{wanted}: {findings:#?}");
    }
    // A column that appeared since is nobody's to pass.
    scratch
        .run(court.source, "ALTER TABLE res_partner ADD COLUMN later int4range NOT NULL DEFAULT '[1,2]'")
        .await;
    let proof = court.prove(staging, &[]).await;
    scratch.run(court.source, "ALTER TABLE res_partner DROP COLUMN later").await;
    assert_eq!(
        (proof.findings[0].kind, proof.findings[0].place.as_str()),
        (FindingKind::Unclassified, "res_partner.later")
    );
}

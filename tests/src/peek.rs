//! Somebody looks into a tenant's past, while the tenant serves on.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::{Client, Config, NoTls};

use crate::house::House;
use crate::load::Load;
use crate::platform::{Ended, Platform, processes, text, until};
use crate::state::Place;

/// The setting `worker_peeks`.
pub const MOST: usize = 2;

const PATIENCE: Duration = Duration::from_secs(60);

/// The SQLSTATE of who has no right to something.
const FORBIDDEN: &str = "42501";

/// Everything but reading, each tried by a role that has switched its own
/// read-only transactions off.
const REFUSED: &[&str] = &[
    "INSERT INTO res_partner (name) VALUES ('x')",
    "UPDATE res_partner SET name = 'x'",
    "DELETE FROM res_partner",
    "TRUNCATE res_partner",
    "DO 'BEGIN LOCK TABLE res_partner IN ROW EXCLUSIVE MODE; END'",
    "SELECT nextval('res_partner_id_seq')",
    "SELECT setval('res_partner_id_seq', 1)",
    "ALTER TABLE res_partner ADD x integer",
    "DROP TABLE res_partner",
    "CREATE TABLE x (y integer)",
    "CREATE TEMP TABLE x (y integer)",
    "CREATE SCHEMA x",
    "CREATE FUNCTION x() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION pg_trgm",
    "CREATE DATABASE x",
    "CREATE ROLE x",
    "ALTER ROLE heddle_peek VALID UNTIL 'infinity'",
    "ALTER ROLE odoo LOGIN",
    "SET ROLE odoo",
    "SET SESSION AUTHORIZATION heddle",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_logical_emit_message(false, 'x', 'x')",
    "SELECT pg_switch_wal()",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "COPY res_partner TO '/tmp/x'",
    "COPY res_partner TO PROGRAM 'cat'",
    "COPY res_partner FROM PROGRAM 'id'",
    "SET session_replication_role = replica",
    "SET temp_file_limit = -1",
    "ALTER SYSTEM SET archive_mode = on",
    "CHECKPOINT",
];

/// One that is open, and who may look.
struct Looking {
    id: String,
    port: u16,
    password: String,
    database: String,
}

impl Looking {
    fn of(made: &Value) -> Result<Self> {
        let peek = &made["peek"];
        ensure!(peek["state"] == "open" && peek["host"] == "127.0.0.1", "the peek is {peek}");
        Ok(Self {
            id: text(peek, "id"),
            port: u16::try_from(peek["port"].as_u64().context("a port")?)?,
            password: text(made, "password"),
            database: text(peek, "database"),
        })
    }

    async fn as_role(
        &self,
        role: &str,
        password: &str,
        database: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user(role).password(password).dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn connect(&self) -> Result<Client> {
        self.as_role("heddle_peek", &self.password, &self.database).await.context("connect to the peek")
    }

    async fn partners(&self, prefix: &str) -> Result<Vec<String>> {
        partners(&self.connect().await?, prefix).await
    }
}

async fn partners(client: &Client, prefix: &str) -> Result<Vec<String>> {
    let sql = "SELECT name FROM res_partner WHERE name LIKE $1 || '%' ORDER BY name";
    Ok(client.query(sql, &[&prefix]).await?.iter().map(|row| row.get(0)).collect())
}

async fn look(platform: &Platform, arguments: &[&str]) -> Result<Looking> {
    Looking::of(&platform.heddle(&[&["tenant", "peek"], arguments].concat()).await?)
}

async fn shown(platform: &Platform, tenant: &str, peek: &str) -> Result<Value> {
    let listed = platform.heddle(&["tenant", "peek", "list", tenant]).await?;
    let listed = listed.as_array().context("a list of peeks")?;
    listed.iter().find(|one| one["id"] == peek).cloned().with_context(|| format!("{peek} is not listed"))
}

/// Nothing is left of it: no folder, program, process, listener or socket.
async fn gone(platform: &Platform, tenant: &str, peek: &Looking) -> Result<Value> {
    let folder = platform.data.join("peeks").join(&peek.id);
    until(PATIENCE, &format!("the peek {} is gone", peek.id), async || {
        let ended = shown(platform, tenant, &peek.id).await?["state"] == "ended";
        Ok(ended && !folder.exists())
    })
    .await?;
    let program = platform.data.join("programs").join(format!("peek-{}", peek.id));
    ensure!(!program.exists(), "its program is still known");
    let here = folder.display().to_string();
    let left: Vec<_> =
        processes().into_iter().filter(|(.., argv)| argv.iter().any(|word| word.contains(&here))).collect();
    ensure!(left.is_empty(), "processes of it are left: {left:?}");
    ensure!(std::net::TcpStream::connect(("127.0.0.1", peek.port)).is_err(), "something still listens");
    shown(platform, tenant, &peek.id).await
}

fn refused(ended: &Ended, code: i32, words: &str) -> Result<()> {
    ensure!(
        ended.code == code && ended.stderr.contains(words),
        "it ended with {}, not with {code} and {words:?}:\n{}{}",
        ended.code,
        ended.stdout,
        ended.stderr
    );
    Ok(())
}

/// What a tenant's cells and history consist of.
async fn lines(platform: &Platform, tenant: &str) -> Result<BTreeSet<String>> {
    let id = text(&platform.heddle(&["tenant", "show", tenant]).await?, "id");
    let mut found = BTreeSet::new();
    for (what, folder) in [
        ("cell", platform.data.join("tenants").join(&id)),
        ("history", platform.data.join("repository/tenants").join(&id).join("lineages")),
    ] {
        for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
            found.insert(format!("{what} {}", entry?.file_name().to_string_lossy()));
        }
    }
    Ok(found)
}

/// The same tenant at four points of its past: by time, snapshot, position and
/// as it is. Answers with what was seen.
pub async fn a_past_is_read(house: &House, tenant: &str) -> Result<String> {
    let platform = &house.platform;
    let odoo = house.log_in(tenant).await?;
    let before = lines(platform, tenant).await?;
    odoo.create_partner("row one").await?;
    platform.heddle(&["snapshot", "create", tenant, "--name", "one"]).await?;
    odoo.create_partner("row two").await?;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let at = Timestamp::now().to_string();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    odoo.create_partner("row three").await?;
    let lsn: String = {
        let cell = Place::of(platform, tenant).await?.connect().await?;
        cell.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await?.get(0)
    };
    odoo.create_partner("row four").await?;

    let load = Load::start(&odoo).await?;
    let mut seen = Vec::new();
    let all = ["row four", "row one", "row three", "row two"];
    for (point, expected) in [
        (vec!["--at", &at], &["row one", "row two"][..]),
        (vec!["--snapshot", "one"], &["row one"]),
        (vec!["--lsn", &lsn], &["row one", "row three", "row two"]),
        (vec!["--latest"], &all),
    ] {
        let peek = look(platform, &[&[tenant, "--for", "10m"], &point[..]].concat()).await?;
        let found = peek.partners("row ").await?;
        ensure!(found == expected, "{point:?} shows {found:?}, not {expected:?}");
        seen.push(format!("{} {}", point[0], found.len()));
        let ended = platform.heddle(&["tenant", "peek", "end", tenant]).await?;
        ensure!(ended["state"] == "ended" && ended["reason"] == "somebody has ended it", "it is {ended}");
        gone(platform, tenant, &peek).await?;
    }
    let served = load.stop().await?;
    ensure!(served.failed == 0, "{} requests of {tenant} failed meanwhile", served.failed);
    ensure!(house.log_in(tenant).await?.partners("row ").await? == all, "what is served has changed");
    let after = lines(platform, tenant).await?;
    ensure!(before == after, "cells and lineages were {before:?}, and are {after:?}");
    Ok(format!("rows seen: {}; {} requests served meanwhile, 0 failed", seen.join(", "), served.requests))
}

/// Whoever looks reads everything, and does nothing else.
pub async fn nothing_can_be_written(house: &House, tenant: &str) -> Result<String> {
    let platform = &house.platform;
    let peek = look(platform, &[tenant, "--latest", "--for", "10m"]).await?;
    let client = peek.connect().await?;
    let refused = client.batch_execute("DELETE FROM res_partner").await;
    let code = refused.err().and_then(|error| error.code().map(|code| code.code().to_owned()));
    ensure!(code.as_deref() == Some("25006"), "a transaction is not read-only: {code:?}");
    // That one can take back for oneself; what follows is a matter of rights.
    client.batch_execute("SET default_transaction_read_only = off; SET statement_timeout = '1min'").await?;
    let mut otherwise = Vec::new();
    for sql in REFUSED {
        let done = client.batch_execute(sql).await;
        let code = done.err().and_then(|error| error.code().map(|code| code.code().to_owned()));
        if code.as_deref() != Some(FORBIDDEN) {
            otherwise.push(format!("{sql} ended with {code:?}"));
        }
    }
    ensure!(otherwise.is_empty(), "not refused for want of a right:\n{}", otherwise.join("\n"));
    let tables: i64 =
        client.query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", &[]).await?.get(0);
    for row in client.query("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'", &[]).await? {
        let table: String = row.get(0);
        let sql = format!("SELECT count(*) FROM public.\"{table}\"");
        client.query_one(&sql, &[]).await.with_context(|| format!("read {table}"))?;
    }
    // What production logs in with is not in there.
    let hashes: i64 = client
        .query_one(
            "SELECT count(*) FROM pg_authid WHERE rolname <> 'heddle_peek' AND rolpassword IS NOT NULL",
            &[],
        )
        .await?
        .get(0);
    ensure!(hashes == 0, "{hashes} roles' password hashes can be read");
    for setting in ["archive_mode", "autovacuum", "fsync"] {
        let value: String = client.query_one(&format!("SHOW {setting}"), &[]).await?.get(0);
        ensure!(value == "off", "{setting} is {value}");
    }
    for (role, password, database) in [
        ("heddle_peek", "wrong", &*peek.database),
        ("heddle_peek", &*peek.password, "postgres"),
        ("heddle_peek", &*peek.password, "template1"),
        ("odoo", &*peek.password, &*peek.database),
        ("heddle", &*peek.password, &*peek.database),
    ] {
        let let_in = peek.as_role(role, password, database).await;
        ensure!(let_in.is_err(), "{role} came in to {database}");
    }
    let mut connections = Vec::new();
    let limit = loop {
        match peek.as_role("heddle_peek", &peek.password, &peek.database).await {
            Ok(one) => connections.push(one),
            Err(error) => break error.code().map(|code| code.code().to_owned()),
        }
        ensure!(connections.len() < 50, "there is no limit of connections");
    };
    ensure!(limit.as_deref() == Some("53300"), "the limit says {limit:?}");
    let mode = fs::metadata(platform.data.join("peeks").join(&peek.id).join("cell"))?.permissions().mode();
    ensure!(mode & 0o077 == 0, "its data directory is open to others: {mode:o}");
    platform.heddle(&["tenant", "peek", "end", tenant]).await?;
    drop(connections);
    gone(platform, tenant, &peek).await?;
    Ok(format!("{tables} tables read, {} ways of writing refused", REFUSED.len()))
}

/// psql runs on it, with the password in neither arguments nor environment.
pub async fn psql_runs_on_it(house: &House, tenant: &str) -> Result<()> {
    let platform = &house.platform;
    let ask = "SELECT current_setting('default_transaction_read_only'), count(*) FROM res_users";
    let ended = platform.try_heddle(&["tenant", "peek", tenant, "--latest", "--", "-XAtc", ask]).await?;
    ensure!(ended.code == 0 && ended.stdout.starts_with("on|"), "psql ended so: {ended:?}");
    let wrong = ["tenant", "peek", tenant, "--latest", "--", "-XAtc", "SELECT nothing"];
    refused(&platform.try_heddle(&wrong).await?, 1, "psql ended with 1")?;
    let listed = platform.heddle(&["tenant", "peek", "list", tenant]).await?;
    let live = listed.as_array().context("a list")?.iter().filter(|peek| peek["state"] != "ended").count();
    ensure!(live == 0, "{live} peeks are left: {listed}");
    Ok(())
}

/// A host takes so many, and says so.
pub async fn one_too_many_is_refused(house: &House, tenant: &str, other: &str) -> Result<()> {
    let platform = &house.platform;
    let (one, two) =
        (look(platform, &[tenant, "--latest"]).await?, look(platform, &[other, "--latest"]).await?);
    ensure!(one.port != two.port, "two listen on one port");
    let third = platform.try_heddle(&["tenant", "peek", tenant, "--latest"]).await?;
    refused(&third, 6, "as many as it may")?;
    // Neither sees the other, nor comes in with the other's password.
    ensure!(one.as_role("heddle_peek", &two.password, &one.database).await.is_err(), "a stranger came in");
    for (peek, tenant) in [(&one, tenant), (&two, other)] {
        platform.heddle(&["tenant", "peek", "end", tenant, &peek.id]).await?;
        gone(platform, tenant, peek).await?;
    }
    Ok(())
}

/// It goes when its time is over, also while nobody can be asked.
pub async fn it_goes_with_its_time(house: &House, tenant: &str) -> Result<()> {
    let platform = &house.platform;
    let peek = look(platform, &[tenant, "--latest", "--for", "10s"]).await?;
    let client = peek.connect().await?;
    let ended = gone(platform, tenant, &peek).await?;
    ensure!(text(&ended, "reason") == "its time is over", "it ended because {}", ended["reason"]);
    ensure!(client.query_one("SELECT 1", &[]).await.is_err(), "a session outlived it");
    Ok(())
}

/// It goes when its worker is killed.
pub async fn it_goes_with_its_worker(house: &House, tenant: &str) -> Result<()> {
    let platform = &house.platform;
    let peek = look(platform, &[tenant, "--latest", "--for", "10m"]).await?;
    platform.kill("worker").await?;
    let ended = gone(platform, tenant, &peek).await?;
    ensure!(text(&ended, "reason").contains("ended early"), "it ended because {}", ended["reason"]);
    house.serving(tenant).await
}

/// It goes when its tenant is archived, before the tenant can be shredded.
pub async fn it_goes_with_its_tenant(house: &House, tenant: &str) -> Result<()> {
    let platform = &house.platform;
    let peek = look(platform, &[tenant, "--latest", "--for", "10m"]).await?;
    platform.heddle(&["tenant", "archive", tenant, "--confirm", tenant]).await?;
    let ended = gone(platform, tenant, &peek).await?;
    ensure!(text(&ended, "reason").contains("archived"), "it ended because {}", ended["reason"]);
    refused(&platform.try_heddle(&["tenant", "peek", tenant, "--latest"]).await?, 3, "archived")?;
    platform.heddle(&["tenant", "shred", tenant, "--confirm", tenant]).await?;
    Ok(())
}

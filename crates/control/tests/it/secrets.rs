//! Secrets: sealed in the database, given to the tenant's worker, taken out of
//! what is said.

use std::collections::BTreeMap;
use std::path::PathBuf;

use control::{Error, KeyError, Kind, Settings};
use jiff::Timestamp;
use model::TenantId;
use model::run::{Level, RunKind};
use protocol::api::SecretsOf;
use protocol::internal::{Claimed, Event, Events, Outcome};

use crate::platform::{Platform, asked, new_tenant, refused, register};

struct Kept {
    platform: Platform,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Kept {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets.key");
        daemon::secretfile::write(&file, control::new_key_file().unwrap().as_bytes()).unwrap();
        let settings = Settings { secrets_key: Some(file.clone()), ..Settings::default() };
        let platform = Platform::with(settings).await;
        platform.environment().await;
        Self { platform, file, _folder: folder }
    }

    /// A control in another process, as far as it can tell.
    async fn another(&self) -> control::Control {
        let settings = Settings { secrets_key: Some(self.file.clone()), ..Settings::default() };
        control::Control::connect(&self.platform.scratch.url(), settings).await.unwrap()
    }

    async fn set(&self, of: &SecretsOf, name: &str, value: &str) -> i64 {
        self.platform.control.set_secret(of, name, value, None).await.unwrap().version
    }

    async fn given(&self, tenant: TenantId) -> control::Result<BTreeMap<String, String>> {
        Ok(self.platform.control.tenant_secrets(self.platform.worker, tenant).await?.values)
    }

    async fn say(&self, claimed: &Claimed, message: &str) -> String {
        let event = Event {
            at: Timestamp::now(),
            level: Level::Info,
            message: message.into(),
            progress: None,
            payload: None,
        };
        // Numbers only have to grow.
        let first = event.at.as_microsecond();
        let events = Events { fence: claimed.fence, first, events: vec![event] };
        self.platform.control.append_events(claimed.run, events).await.unwrap();
        let events = self.platform.control.run_events(claimed.run, 0).await.unwrap();
        events.last().unwrap().message.clone()
    }
}

fn project() -> SecretsOf {
    SecretsOf { project: Some("demo".into()), ..SecretsOf::default() }
}

fn environment() -> SecretsOf {
    SecretsOf { environment: Some("demo/live".into()), ..SecretsOf::default() }
}

fn tenant(name: &str) -> SecretsOf {
    SecretsOf { tenant: Some(name.into()), ..SecretsOf::default() }
}

#[tokio::test]
async fn the_nearest_value_reaches_the_tenants_worker_alone() {
    let kept = Kept::new().await;
    let acme = kept.platform.tenant("acme").await.id;
    let other = kept.platform.tenant("other").await.id;
    kept.set(&project(), "FROM_PROJECT", "wide").await;
    kept.set(&project(), "SMTP_PASSWORD", "of the project").await;
    kept.set(&environment(), "SMTP_PASSWORD", "of the environment").await;
    kept.set(&tenant("acme"), "SMTP_PASSWORD", "of the tenant\nwith a second line").await;
    let given = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    let mine = [("FROM_PROJECT", "wide"), ("SMTP_PASSWORD", "of the tenant\nwith a second line")];
    assert_eq!(kept.given(acme).await.unwrap(), given(&mine));
    let theirs = [("FROM_PROJECT", "wide"), ("SMTP_PASSWORD", "of the environment")];
    assert_eq!(kept.given(other).await.unwrap(), given(&theirs));
    let stranger = register(&kept.platform.control, "elsewhere").await;
    refused(kept.platform.control.tenant_secrets(stranger, acme).await, Kind::Forbidden);

    let shown = kept.platform.control.secrets(&tenant("acme")).await.unwrap();
    let names: Vec<_> = shown.iter().map(|one| (one.name.as_str(), one.tenant.is_some())).collect();
    assert_eq!(
        names,
        [
            ("FROM_PROJECT", false),
            ("SMTP_PASSWORD", true),
            ("SMTP_PASSWORD", false),
            ("SMTP_PASSWORD", false)
        ]
    );
    assert!(!format!("{shown:?}").contains("second line"));
}

#[tokio::test]
async fn versions_grow_and_never_come_again() {
    let kept = Kept::new().await;
    let control = &kept.platform.control;
    let acme = kept.platform.tenant("acme").await.id;
    let of = tenant("acme");
    for version in 1..=8 {
        assert_eq!(kept.set(&of, "TOKEN", &format!("the value {version}")).await, version);
    }
    // Only the last are kept, to be taken out of logs.
    let admin = kept.platform.scratch.admin().await;
    let versions = "SELECT array_agg(version ORDER BY version) FROM ops.secret_versions";
    let found: Vec<i64> = admin.query_one(versions, &[]).await.unwrap().get(0);
    assert_eq!(found, [4, 5, 6, 7, 8]);
    refused(control.set_secret(&of, "TOKEN", "late", Some(7)).await, Kind::Changed);
    refused(control.remove_secret(&of, "TOKEN", Some(7)).await, Kind::Changed);
    refused(control.set_secret(&of, "OTHER", "new", Some(3)).await, Kind::Changed);
    assert_eq!(kept.given(acme).await.unwrap()["TOKEN"], "the value 8");
    control.remove_secret(&of, "TOKEN", Some(8)).await.unwrap();
    assert!(kept.given(acme).await.unwrap().is_empty());
    refused(control.remove_secret(&of, "TOKEN", None).await, Kind::NotFound);
    let left: i64 = admin.query_one("SELECT count(*) FROM ops.secret_versions", &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
    assert_eq!(kept.set(&of, "TOKEN", "again").await, 10);
    assert_eq!(kept.given(acme).await.unwrap()["TOKEN"], "again");
}

#[tokio::test]
async fn two_who_set_one_at_once_come_one_after_the_other() {
    let kept = Kept::new().await;
    let (one, other) = (kept.another().await, kept.another().await);
    let of = project();
    for round in 0..10 {
        let name = format!("TOKEN_{round}");
        let (a, b) = tokio::join!(
            one.set_secret(&of, &name, "one", None),
            other.set_secret(&of, &name, "other", None)
        );
        let mut versions = [a.unwrap().version, b.unwrap().version];
        versions.sort_unstable();
        assert_eq!(versions, [1, 2]);
    }
    // They raced for the scope's first data key as well.
    let admin = kept.platform.scratch.admin().await;
    let keys: i64 = admin.query_one("SELECT count(*) FROM ops.data_keys", &[]).await.unwrap().get(0);
    assert_eq!(keys, 1);
    assert_eq!(kept.platform.control.secrets(&of).await.unwrap().len(), 10);
}

#[tokio::test]
async fn the_database_holds_nothing_that_can_be_read() {
    let kept = Kept::new().await;
    kept.platform.tenant("acme").await;
    let value = "correct-horse-battery";
    kept.set(&tenant("acme"), "TOKEN", value).await;
    kept.set(&project(), "TOKEN", value).await;
    let key = daemon::secretfile::read(&kept.file).unwrap();
    let key = key.split_once(' ').unwrap().1.to_owned();
    let admin = kept.platform.scratch.admin().await;
    let tables: Vec<String> = admin
        .query("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'ops'", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(tables.len() > 20, "{tables:?}");
    for table in tables {
        let sql = format!("SELECT COALESCE(string_agg(to_jsonb(t)::text, ''), '') FROM {table} t");
        let text: String = admin.query_one(&sql, &[]).await.unwrap().get(0);
        for secret in [value.to_owned(), hex::encode(value), key.clone()] {
            assert!(!text.contains(&secret), "{table} holds {secret}");
        }
    }
    // One value in two scopes cannot be told to be one.
    let prints = "SELECT count(DISTINCT fingerprint), count(DISTINCT sealed) FROM ops.secret_versions";
    let row = admin.query_one(prints, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 2));
}

#[tokio::test]
async fn what_was_moved_in_the_database_does_not_open() {
    let swap = |table: &str, column: &str, key: &str| {
        format!(
            "UPDATE ops.{table} t SET {column} = (SELECT o.{column} FROM ops.{table} o WHERE o.{key} <> t.{key} LIMIT 1)"
        )
    };
    for (what, sql) in [
        ("values of two names", swap("secret_versions", "sealed", "secret_id")),
        ("data keys of two scopes", swap("data_keys", "wrapped", "id")),
        (
            "a value under an older number",
            "UPDATE ops.secret_versions SET version = version - 1;
            UPDATE ops.secrets SET version = version - 1"
                .into(),
        ),
        ("a value under another name", "UPDATE ops.secrets SET name = name || '_X'".into()),
        (
            "a value of another scope",
            "UPDATE ops.secrets SET tenant_id = NULL WHERE tenant_id IS NOT NULL".into(),
        ),
        (
            "a changed value",
            "UPDATE ops.secret_versions SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)".into(),
        ),
    ] {
        let kept = Kept::new().await;
        let acme = kept.platform.tenant("acme").await.id;
        for value in ["one", "two"] {
            kept.set(&project(), "WIDE", value).await;
            kept.set(&tenant("acme"), "NARROW", value).await;
        }
        kept.platform.sql("DELETE FROM ops.secret_versions WHERE version = 1").await;
        assert_eq!(kept.given(acme).await.unwrap().len(), 2);
        kept.platform.sql(&sql).await;
        match kept.given(acme).await {
            Err(Error::Key(KeyError::Sealed(_))) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn secrets_are_taken_out_of_what_runs_say() {
    let kept = Kept::new().await;
    let control = &kept.platform.control;
    kept.set(&project(), "WIDE", "of the whole project").await;
    control.create_tenant(&asked(), new_tenant("acme")).await.unwrap();
    let claimed = kept.platform.claim(RunKind::Provision).await;
    assert_eq!(kept.say(&claimed, "it is (of the whole project)").await, "it is (•••)");
    assert_eq!(kept.say(&claimed, "hunter2hunter2").await, "hunter2hunter2");
    // From the moment on that it is set.
    kept.set(&tenant("acme"), "TOKEN", "hunter2hunter2").await;
    assert_eq!(kept.say(&claimed, "now hunter2hunter2").await, "now •••");
    // The one before it, too.
    kept.set(&tenant("acme"), "TOKEN", "a newer value").await;
    assert_eq!(kept.say(&claimed, "hunter2hunter2, a newer value").await, "•••, •••");
    // Also where the end is cut off within it.
    let long = format!("{}hunter2hunter2", "x".repeat(8192 - 5));
    assert!(!kept.say(&claimed, &long).await.contains("hunter"));
    let outcome = Outcome::Failed { reason: "bad hunter2hunter2".into(), hint: Some("a newer value".into()) };
    kept.platform.finish(&claimed, outcome).await.unwrap();
    let run = control.run(claimed.run).await.unwrap();
    assert_eq!((run.reason.as_deref(), run.hint.as_deref()), (Some("bad •••"), Some("•••")));
    // Another tenant's are not looked for.
    control.create_tenant(&asked(), new_tenant("other")).await.unwrap();
    let other = kept.platform.claim(RunKind::Provision).await;
    assert_eq!(kept.say(&other, "hunter2hunter2 of the whole project").await, "hunter2hunter2 •••");
}

#[tokio::test]
async fn what_another_process_set_is_taken_out() {
    let kept = Kept::new().await;
    kept.platform.control.create_tenant(&asked(), new_tenant("acme")).await.unwrap();
    let claimed = kept.platform.claim(RunKind::Provision).await;
    assert_eq!(kept.say(&claimed, "said hunter2hunter2").await, "said hunter2hunter2");
    let other = kept.another().await;
    other.set_secret(&tenant("acme"), "TOKEN", "hunter2hunter2", None).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(kept.say(&claimed, "again hunter2hunter2").await, "again •••");
}

#[tokio::test]
async fn without_the_key_nothing_is_said_or_given() {
    let kept = Kept::new().await;
    let acme = kept.platform.tenant("acme").await;
    kept.set(&tenant("acme"), "TOKEN", "hunter2hunter2").await;
    std::fs::remove_file(&kept.file).unwrap();
    let blind = kept.another().await;
    assert!(matches!(blind.tenant_secrets(kept.platform.worker, acme.id).await, Err(Error::Key(_))));
    let new = protocol::api::NewSnapshot { name: None, kind: None, expires_at: None, ..Default::default() };
    blind.create_snapshot(&asked(), "acme", new).await.unwrap();
    let claimed = kept.platform.claim(RunKind::Snapshot).await;
    let event = Event {
        at: Timestamp::now(),
        level: Level::Info,
        message: "hunter2hunter2".into(),
        progress: Some(0.5),
        payload: None,
    };
    blind
        .append_events(claimed.run, Events { fence: claimed.fence, first: 1, events: vec![event] })
        .await
        .unwrap();
    let events = blind.run_events(claimed.run, 0).await.unwrap();
    assert_eq!(events.last().unwrap().message, "•••");
    // And without a key file at all, none is kept.
    let none = control::Control::connect(&kept.platform.scratch.url(), Settings::default()).await.unwrap();
    refused(none.set_secret(&environment(), "TOKEN", "x", None).await, Kind::Unavailable);
}

#[tokio::test]
async fn a_rotation_wraps_anew_and_changes_no_value() {
    let kept = Kept::new().await;
    let acme = kept.platform.tenant("acme").await.id;
    kept.set(&project(), "WIDE", "one").await;
    kept.set(&tenant("acme"), "NARROW", "two").await;
    let elsewhere = kept.another().await;
    elsewhere.tenant_secrets(kept.platform.worker, acme).await.unwrap();
    let admin = kept.platform.scratch.admin().await;
    let state = async || -> (String, String) {
        let sealed = "SELECT md5(string_agg(sealed::text, ',' ORDER BY sealed)) FROM ops.secret_versions";
        let wrapped = "SELECT md5(string_agg(wrapped::text, ',' ORDER BY id)) FROM ops.data_keys";
        let get = async |sql: &str| admin.query_one(sql, &[]).await.unwrap().get(0);
        (get(sealed).await, get(wrapped).await)
    };
    let (sealed, wrapped) = state().await;
    let old = daemon::secretfile::read(&kept.file).unwrap();
    assert_eq!(kept.platform.control.rotate_secrets_key().await.unwrap(), 2);
    let (sealed_now, wrapped_now) = state().await;
    assert_eq!(sealed, sealed_now);
    assert_ne!(wrapped, wrapped_now);
    let new = daemon::secretfile::read(&kept.file).unwrap();
    assert!(new.lines().count() == 1 && new != old);
    // Whoever had read the old file goes on, and so does what is set from now on.
    for control in [&kept.platform.control, &elsewhere] {
        let given = control.tenant_secrets(kept.platform.worker, acme).await.unwrap().values;
        assert_eq!((given["WIDE"].as_str(), given["NARROW"].as_str()), ("one", "two"));
    }
    elsewhere.set_secret(&environment(), "LATER", "three", None).await.unwrap();
    let by: i64 =
        admin.query_one("SELECT count(DISTINCT wrapped_by) FROM ops.data_keys", &[]).await.unwrap().get(0);
    assert_eq!(by, 1);
    // The old file opens none of them.
    daemon::secretfile::write(&kept.file, old.as_bytes()).unwrap();
    let past = kept.another().await;
    assert!(matches!(
        past.tenant_secrets(kept.platform.worker, acme).await,
        Err(Error::Key(KeyError::Unknown(_)))
    ));
}

#[tokio::test]
async fn a_rotation_that_was_broken_off_is_done_again() {
    let kept = Kept::new().await;
    let acme = kept.platform.tenant("acme").await.id;
    kept.set(&project(), "WIDE", "one").await;
    // The new key was added, and then the process was killed.
    let lines = daemon::secretfile::read(&kept.file).unwrap();
    let both = format!("{}{lines}\n", *control::new_key_file().unwrap());
    daemon::secretfile::write(&kept.file, both.as_bytes()).unwrap();
    assert_eq!(kept.given(acme).await.unwrap()["WIDE"], "one");
    kept.set(&tenant("acme"), "NARROW", "two").await;
    assert_eq!(kept.platform.control.rotate_secrets_key().await.unwrap(), 2);
    assert_eq!(kept.given(acme).await.unwrap().len(), 2);
    assert_eq!(daemon::secretfile::read(&kept.file).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn wrong_inputs_are_refused() {
    let kept = Kept::new().await;
    let control = &kept.platform.control;
    let of = project();
    for name in ["", "lower", "PATH", "LD_PRELOAD", "A B", &"A".repeat(64)] {
        refused(control.set_secret(&of, name, "value", None).await, Kind::Invalid);
    }
    for value in ["", "a\0b", &"x".repeat(32_769)] {
        refused(control.set_secret(&of, "NAME", value, None).await, Kind::Invalid);
    }
    let value = "x".repeat(32_768);
    kept.set(&of, "NAME", &value).await;
    refused(control.set_secret(&SecretsOf::default(), "NAME", "v", None).await, Kind::Invalid);
    let two = SecretsOf { tenant: Some("acme".into()), ..project() };
    refused(control.secrets(&two).await, Kind::Invalid);
    refused(control.secrets(&tenant("nobody")).await, Kind::NotFound);
    for n in 1..100 {
        kept.set(&of, &format!("NAME_{n}"), "value").await;
    }
    let refusal = refused(control.set_secret(&of, "ONE_MORE", "value", None).await, Kind::WrongState);
    assert!(refusal.detail.contains("100 secrets"), "{refusal}");
    // One that is there can still be changed.
    kept.set(&of, "NAME_1", "another value").await;
}

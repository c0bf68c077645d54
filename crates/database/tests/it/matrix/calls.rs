//! The owner's functions decide for whoever calls them: called by those whom it
//! does not concern they tell nothing and change nothing.

use tokio_postgres::Client;

use super::who::everybody;
use super::{Session, world};

/// A call about alpha's things; `{…}` are looked up. `fits` may make it, and
/// `strangers` may not.
struct Call {
    sql: &'static str,
    fits: &'static str,
    strangers: &'static [&'static str],
}

const OUTSIDE: &[&str] = &["nobody", "stranger", "beta-owner", "disabled", "of-beta", "expired", "revoked"];
const OUTSIDE_OR_READING: &[&str] =
    &["nobody", "stranger", "beta-owner", "disabled", "of-beta", "expired", "revoked", "viewer", "reading"];
const NO_OPERATOR: &[&str] = &["nobody", "stranger", "beta-owner", "viewer", "owner", "operating"];
const OTHER_WORKERS: &[&str] = &["host", "idle"];

const CALLS: &[Call] = &[
    Call {
        sql: "SELECT ops.queue_run('{project}', '{staging}', NULL, NULL, 'probe')",
        fits: "tester",
        strangers: OUTSIDE_OR_READING,
    },
    Call { sql: "SELECT ops.cancel_run('{held}')", fits: "tester", strangers: OUTSIDE_OR_READING },
    Call { sql: "SELECT ops.retry_run('{failed}')", fits: "developer", strangers: OUTSIDE_OR_READING },
    Call { sql: "SELECT ops.create_backup('{tenant}')", fits: "tester", strangers: OUTSIDE_OR_READING },
    Call { sql: "SELECT ops.restore_backup('{restore}')", fits: "tester", strangers: OUTSIDE_OR_READING },
    Call { sql: "SELECT ops.ready_run('{failed}')", fits: "tester", strangers: OUTSIDE },
    Call {
        sql: "SELECT ops.ask_approval('archive_tenant', '{project}', '{production}', 'x', 'y')",
        fits: "admin",
        strangers: OUTSIDE,
    },
    Call {
        sql: "SELECT ops.decide_approval('{approval}', 'approve')",
        fits: "admin",
        strangers: OUTSIDE_OR_READING,
    },
    Call { sql: "SELECT ops.deciders('{approval}')", fits: "viewer", strangers: OUTSIDE },
    Call { sql: "SELECT ops.lock_tenant('{tenant}')", fits: "tester", strangers: OUTSIDE_OR_READING },
    Call {
        sql: "SELECT ops.find_user('owner')",
        fits: "admin",
        strangers: &["nobody", "stranger", "viewer", "reading"],
    },
    Call {
        sql: "SELECT ops.end_sessions('{owner}')",
        fits: "operator",
        strangers: &["nobody", "stranger", "admin", "beta-owner"],
    },
    Call { sql: "SELECT ops.drain_worker('holder', true)", fits: "operator", strangers: NO_OPERATOR },
    Call {
        sql: "SELECT run FROM ops.hold_run('{held}', 1) AS run",
        fits: "holder",
        strangers: OTHER_WORKERS,
    },
    Call {
        sql: "SELECT beat FROM ops.heartbeats(ARRAY['{held}']::uuid[], ARRAY[1]::bigint[]) AS beat",
        fits: "holder",
        strangers: OTHER_WORKERS,
    },
    Call {
        sql: "SELECT done FROM ops.finish_runs(ARRAY['{held}']::uuid[], ARRAY[1]::bigint[], ARRAY['cancelled'], ARRAY['why']) AS done
              WHERE done.outcome <> 'stale'",
        fits: "holder",
        strangers: OTHER_WORKERS,
    },
    Call { sql: "SELECT ops.finish_run('{held}', 'cancelled')", fits: "holder", strangers: OTHER_WORKERS },
    Call {
        sql: "SELECT ops.append_event('{held}', 'info', 'said')",
        fits: "holder",
        strangers: OTHER_WORKERS,
    },
    Call {
        sql: "SELECT run FROM ops.claim_next_run('{holder}', ARRAY['provision'], 1) AS run",
        fits: "holder",
        strangers: OTHER_WORKERS,
    },
    Call { sql: "SELECT ops.lock_tenant('{tenant}')", fits: "holder", strangers: OTHER_WORKERS },
];

/// Everything that the calls could change.
async fn digest(admin: &Client) -> String {
    let sql = "
        SELECT md5(string_agg(row, ',' ORDER BY row)) FROM (
            SELECT r::text FROM ops.runs r UNION ALL SELECT l::text FROM ops.leases l
            UNION ALL SELECT e::text FROM ops.run_events e UNION ALL SELECT q::text FROM ops.run_ready q
            UNION ALL SELECT a::text FROM ops.approvals a UNION ALL SELECT d::text FROM ops.approval_decisions d
            UNION ALL SELECT s::text FROM ops.sessions s UNION ALL SELECT (w.name, w.draining_at)::text FROM ops.workers w
        ) AS everything (row)";
    admin.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn the_owners_functions_serve_those_whom_it_concerns() {
    let (scratch, admin) = world().await;
    let id = async |sql: &str| -> String { admin.query_one(sql, &[]).await.unwrap().get(0) };
    let names = [
        ("project", id("SELECT id::text FROM ops.projects WHERE name = 'alpha'").await),
        (
            "staging",
            id("SELECT t.environment_id::text FROM ops.tenants t WHERE t.name = 'alpha-staging'").await,
        ),
        (
            "production",
            id("SELECT t.environment_id::text FROM ops.tenants t WHERE t.name = 'alpha-production'").await,
        ),
        ("tenant", id("SELECT id::text FROM ops.tenants WHERE name = 'alpha-staging'").await),
        ("held", id("SELECT l.run_id::text FROM ops.leases l WHERE l.fence = 1").await),
        (
            "failed",
            id("SELECT r.id::text FROM ops.runs r JOIN ops.tenants t ON t.id = r.tenant_id
                WHERE t.name = 'alpha-staging' AND r.kind = 'provision'")
            .await,
        ),
        (
            "restore",
            id("SELECT r.id::text FROM ops.restores r JOIN ops.tenants t ON t.id = r.tenant_id
                WHERE t.name = 'alpha-staging'")
            .await,
        ),
        (
            "approval",
            id("SELECT a.id::text FROM ops.approvals a JOIN ops.projects p ON p.id = a.project_id
                WHERE p.name = 'alpha'")
            .await,
        ),
        ("owner", id("SELECT id::text FROM ops.users WHERE login = 'owner'").await),
        ("holder", id("SELECT id::text FROM ops.workers WHERE name = 'holder'").await),
    ];
    let everybody = everybody();
    let find =
        |name: &str| everybody.iter().find(|who| who.name == name).unwrap_or_else(|| panic!("no {name}"));
    let before = digest(&admin).await;
    let (mut refused, mut wrong) = (0, Vec::new());
    for call in CALLS {
        let sql =
            names.iter().fold(call.sql.to_owned(), |sql, (name, id)| sql.replace(&format!("{{{name}}}"), id));
        for name in call.strangers {
            let session = Session::of(&scratch, &admin, find(name)).await;
            session.begin().await;
            let told = match session.client.query(&sql, &[]).await {
                // What is no answer at all tells nothing.
                Ok(rows) => rows.iter().any(|row| !is_null(row)),
                Err(error) => {
                    let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
                    assert!(code.starts_with("HD") || code == "42501", "{name}: {sql}: {error:?}");
                    false
                }
            };
            let ended = if told { "ROLLBACK" } else { "COMMIT" };
            session.client.batch_execute(ended).await.unwrap();
            refused += 1;
            if told {
                wrong.push(format!("{name} was answered: {}", call.sql));
            }
        }
        assert_eq!(digest(&admin).await, before, "somebody has changed something by {}", call.sql);
        let session = Session::of(&scratch, &admin, find(call.fits)).await;
        session.begin().await;
        // It may be refused for what it is about, but not for who asks.
        if let Err(error) = session.client.query(&sql, &[]).await {
            let (code, text) = (error.code().map(|code| code.code().to_owned()), error.to_string());
            let state = matches!(code.as_deref(), Some("HD002"));
            if !state {
                wrong.push(format!("{} was refused {}: {code:?} {text} {error:?}", call.fits, call.sql));
            }
        }
        session.roll_back().await;
    }
    println!("{} calls of functions, {refused} times by somebody whom it does not concern", CALLS.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_null(row: &tokio_postgres::Row) -> bool {
    struct Any(bool);
    impl<'a> tokio_postgres::types::FromSql<'a> for Any {
        fn from_sql(
            _: &tokio_postgres::types::Type,
            raw: &'a [u8],
        ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
            // `void` is sent as nothing.
            Ok(Self(!raw.is_empty()))
        }

        fn accepts(_: &tokio_postgres::types::Type) -> bool {
            true
        }
    }
    row.get::<_, Option<Any>>(0).is_none_or(|any| !any.0)
}

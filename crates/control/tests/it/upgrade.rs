//! Control on a database that the first Heddle has used.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher};
use control::{Control, Principal, Requester, Settings, Slice};
use database::migrate::migrate_at;
use model::run::{RunKind, RunState};
use model::tenant::TenantState;

use crate::older;
use crate::platform::{Platform, failed, register};
use crate::scratch::PASSWORD;

const CHOSEN: &str = "correct horse battery staple";

#[tokio::test]
async fn a_used_platform_goes_on() {
    let scratch = older::first().await;
    let admin = scratch.admin().await;
    let hash: PasswordHash = Argon2::default().hash_password(CHOSEN.as_bytes()).unwrap();
    let set = "UPDATE ops.users SET password_hash = $1 WHERE login = 'admin'";
    admin.execute(set, &[&hash.to_string()]).await.unwrap();
    let turn = scratch.migrating();
    migrate_at(&scratch.admin_url(), PASSWORD).await.unwrap();
    drop(turn);
    let control = Control::connect(&scratch.url(), Settings::default()).await.unwrap();

    // Whoever could sign in still can, and runs the installation.
    let signed_in = control.sign_in("admin", CHOSEN, "::1").await.unwrap();
    let acting = control.acting_as(&Principal::user(signed_in.session.user));
    let names = |page: protocol::api::Page<protocol::api::Project>| -> Vec<String> {
        page.items.into_iter().map(|project| project.name).collect()
    };
    assert_eq!(names(acting.projects(&Slice::first()).await.unwrap()), ["demo", "other"]);
    control.session(&signed_in.token).await.unwrap();
    let session = control.session("an old session").await.unwrap();
    assert_eq!(session.login, "admin");
    let principal = control.verify_api_key("hk_oldkey_secret of an old key").await.unwrap();
    assert!(matches!(principal.requester, Requester::ApiKey(_)));
    let by_key = control.acting_as(&principal);
    assert_eq!(names(by_key.projects(&Slice::first()).await.unwrap()).len(), 2);
    control.verify_api_key("hk_revoked_another").await.unwrap_err();

    // What was there is there.
    let tenant = acting.tenant("acme").await.unwrap();
    assert_eq!((tenant.state, tenant.environment.as_str()), (TenantState::Active, "demo/live"));
    assert_eq!(acting.tenant("resting").await.unwrap().state, TenantState::Suspended);
    assert_eq!(acting.snapshot("acme", "ready").await.unwrap().size, Some(6_000_000_000));
    let id = "01900000-0000-7000-8000-000000008804".parse().unwrap();
    let run = acting.run(id).await.unwrap();
    assert_eq!((run.state, run.reason.as_deref()), (RunState::Failed, Some("its worker was lost 3 times")));
    let events = acting.run_events(id, 0).await.unwrap();
    assert_eq!(events.len(), 25);
    assert!(events.windows(2).all(|pair| pair[0].id < pair[1].id));

    // The worker comes back: what it held is taken from it, and the queue goes on.
    let worker = register(&control, "here").await;
    assert_eq!(worker, "01900000-0000-7000-8000-0000000000d1".parse().unwrap());
    let platform = Platform { control, scratch, worker };
    assert_eq!(platform.run("01900000-0000-7000-8000-000000008802".parse().unwrap()).await.attempts, 2);
    let mut claimed = Vec::new();
    for kind in [RunKind::Build, RunKind::PlanRestore, RunKind::Expire] {
        let run = platform.claim(kind).await;
        assert_eq!(platform.run(run.run).await.state, RunState::Running);
        platform.finish(&run, failed("nothing is here")).await.unwrap();
        claimed.push(run.run.to_string());
    }
    assert_eq!(
        claimed,
        [
            "01900000-0000-7000-8000-000000008801",
            "01900000-0000-7000-8000-000000008806",
            "01900000-0000-7000-8000-000000008809"
        ]
    );
    // What had failed before is tried again, and what was queued ends when it is asked to.
    let failed_before = "01900000-0000-7000-8000-000000008811".parse().unwrap();
    assert_eq!(acting.retry_run(failed_before).await.unwrap().state, RunState::Queued);
    assert_eq!(platform.claim(RunKind::Build).await.run, failed_before);
    let queued = "01900000-0000-7000-8000-000000008808".parse().unwrap();
    assert_eq!(acting.cancel_run(queued).await.unwrap().state, RunState::Cancelled);
}

#[tokio::test]
async fn a_newer_database_is_refused_in_a_clear_line() {
    let platform = Platform::new().await;
    platform.sql("INSERT INTO ops.schema_migrations VALUES (999, '0999_later', '\\x00')").await;
    let error =
        Control::connect(&platform.scratch.url(), Settings::default()).await.err().unwrap().to_string();
    let newest = older::migrations().len();
    assert_eq!(
        error,
        format!(
            "the management database is at migration 999, this Heddle knows {newest}: a newer one has migrated it; \
             run that one"
        )
    );
}

//! Maintenance windows hold what disturbs people.

use control::{Kind, Slice};
use jiff::{Timestamp, ToSpan};
use model::run::{RunKind, RunState};
use model::{RestoreId, RunId};
use protocol::api::{NewMaintenanceWindow, NewRestore};
use serde_json::json;

use crate::platform::{Platform, Served, asked, refused};

/// Opens each day, twelve hours from now or at every minute.
async fn window(platform: &Platform, name: &str, open: bool, environment: Option<&str>) {
    let then = Timestamp::now() + 12.hours();
    let cron = if open { "* * * * *".into() } else { then.strftime("%M %H * * *").to_string() };
    let new = NewMaintenanceWindow {
        project: "demo".into(),
        name: name.into(),
        environment: environment.map(str::to_owned),
        cron,
        zone: None,
        minutes: 5,
    };
    let made = platform.control.create_maintenance_window(&asked(), new).await.unwrap();
    assert_eq!((made.open_until.is_some(), made.opens_at.is_some()), (open, !open));
}

async fn planned(platform: &Platform, served: &Served, snapshot: &str) -> RestoreId {
    platform.snapshot("acme", served, snapshot).await;
    platform.planned("acme", served, NewRestore { snapshot: Some(snapshot.into()), at: None }).await
}

#[tokio::test]
async fn a_restore_waits_for_the_window() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    window(&platform, "night", false, Some("live")).await;
    let restore = planned(&platform, &served, "one").await;
    let control = &platform.control;
    let confirmed = control.confirm_restore(&asked(), restore).await.unwrap();
    let run = platform.run(RunId(confirmed.run)).await;
    let opens = control.maintenance_window("demo/night").await.unwrap().opens_at;
    assert_eq!((run.kind, run.state, run.run_at), (RunKind::Restore, RunState::Queued, opens));
    assert!(platform.try_claim(&[RunKind::Restore]).await.is_none(), "it did not wait");
    // What does not disturb anybody goes on meanwhile.
    platform.snapshot("acme", &served, "two").await;

    // Cancelled, it can be asked for again, without waiting.
    control.cancel_run(RunId(confirmed.run)).await.unwrap();
    let again = planned(&platform, &served, "three").await;
    let confirmed = control.confirm_restore_now(&asked(), again).await.unwrap();
    let run = platform.run(RunId(confirmed.run)).await;
    assert_eq!(run.run_at, None);
    assert_eq!(run.metadata, json!({"maintenance_window": "overridden", "opens_at": opens}));
    assert_eq!(platform.claim(RunKind::Restore).await.run, RunId(confirmed.run));
}

#[tokio::test]
async fn an_open_window_holds_nothing_and_other_environments_windows_neither() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    let control = &platform.control;
    window(&platform, "night", false, None).await;
    window(&platform, "always", true, None).await;
    let restore = planned(&platform, &served, "one").await;
    let confirmed = control.confirm_restore(&asked(), restore).await.unwrap();
    let run = platform.run(RunId(confirmed.run)).await;
    // Nothing was overridden, and nothing is kept of it.
    assert_eq!((run.run_at, run.metadata), (None, json!({})));
    control.cancel_run(RunId(confirmed.run)).await.unwrap();

    control.remove_maintenance_window("demo/night").await.unwrap();
    control.remove_maintenance_window("demo/always").await.unwrap();
    let staging = protocol::api::NewEnvironment {
        project: "demo".into(),
        name: "try".into(),
        stage: model::project::Stage::Staging,
        build: None,
    };
    control.create_environment(&asked(), staging).await.unwrap();
    window(&platform, "try", false, Some("try")).await;
    let restore = planned(&platform, &served, "two").await;
    let confirmed = control.confirm_restore(&asked(), restore).await.unwrap();
    assert_eq!(platform.claim(RunKind::Restore).await.run, RunId(confirmed.run));
    assert_eq!(control.maintenance_windows(Some("demo"), &Slice::first()).await.unwrap().items.len(), 1);
    refused(control.remove_maintenance_window("demo/night").await, Kind::NotFound);
}

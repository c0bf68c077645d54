//! Each wrong input is refused with what to do about it, and leaves nothing.

use std::time::Duration;

use control::{Asked, Kind, Requester, Slice};
use jiff::Timestamp;
use model::project::Stage;
use model::{RunId, SnapshotId};
use protocol::api::{NewEnvironment, NewProject, NewRestore, NewSnapshot, NewTenant};

use crate::platform::{Platform, asked, new_build, new_tenant, refused};

#[tokio::test]
async fn names_are_checked() {
    let platform = Platform::new().await;
    platform.environment().await;
    let control = &platform.control;
    refused(control.create_project(&asked(), NewProject { name: "De Mo".into() }).await, Kind::Invalid);
    refused(control.create_project(&asked(), NewProject { name: "demo".into() }).await, Kind::Taken);
    for (subdomain, word) in [
        ("ab", "3 to 63"),
        ("1abc", "start with a letter"),
        ("a_b", "a-z"),
        ("www", "reserved"),
        ("api", "reserved"),
        ("admin", "reserved"),
        ("x".repeat(64).as_str(), "3 to 63"),
    ] {
        let new = NewTenant { subdomain: Some(subdomain.into()), ..new_tenant("acme") };
        let refusal = refused(control.create_tenant(&asked(), new).await, Kind::Invalid);
        assert!(refusal.detail.contains(word), "{refusal}");
    }
    let new = NewTenant { database: Some("postgres".into()), ..new_tenant("acme") };
    refused(control.create_tenant(&asked(), new).await, Kind::Invalid);
    refused(control.create_tenant(&asked(), new_tenant("Acme")).await, Kind::Invalid);
    let nowhere = NewTenant { environment: "demo/nowhere".into(), ..new_tenant("acme") };
    refused(control.create_tenant(&asked(), nowhere).await, Kind::NotFound);
    let empty = Asked::by(Requester::Platform).once("");
    refused(control.create_tenant(&empty, new_tenant("acme")).await, Kind::Invalid);
    assert!(control.tenants(None, &Slice::default()).await.unwrap().items.is_empty());

    control.create_tenant(&asked(), new_tenant("acme")).await.unwrap();
    let new = NewTenant { subdomain: Some("acme".into()), ..new_tenant("other") };
    let refusal = refused(control.create_tenant(&asked(), new).await, Kind::Taken);
    assert!(refusal.detail.contains("subdomain acme") && refusal.hint.is_some(), "{refusal:?}");
    let new = NewTenant { subdomain: Some("elsewhere".into()), ..new_tenant("acme") };
    let refusal = refused(control.create_tenant(&asked(), new).await, Kind::Taken);
    assert!(refusal.detail.contains("named acme"), "{refusal}");
    assert_eq!(control.tenants(Some("demo/live"), &Slice::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn builds_and_environments_are_checked() {
    let platform = Platform::new().await;
    platform.environment().await;
    let control = &platform.control;
    let bad = [
        protocol::api::NewBuild { odoo: "odoo".into(), ..new_build() },
        protocol::api::NewBuild { modules: vec![], ..new_build() },
        protocol::api::NewBuild { modules: vec!["base; rm".into()], ..new_build() },
    ];
    for bad in bad {
        refused(control.create_build(&asked(), bad).await, Kind::Invalid);
    }
    let elsewhere = protocol::api::NewBuild { project: "nothing".into(), ..new_build() };
    refused(control.create_build(&asked(), elsewhere).await, Kind::NotFound);

    let environment =
        |name: &str, stage, build| NewEnvironment { project: "demo".into(), name: name.into(), stage, build };
    let second = environment("second", Stage::Production, None);
    assert!(
        refused(control.create_environment(&asked(), second).await, Kind::Taken)
            .detail
            .contains("production")
    );
    refused(
        control.create_environment(&asked(), environment("live", Stage::Staging, None)).await,
        Kind::Taken,
    );
    let unready = control.create_build(&asked(), new_build()).await.unwrap();
    let unready = environment("next", Stage::Staging, Some(unready.id));
    refused(control.create_environment(&asked(), unready).await, Kind::WrongState);
    let foreign = control.builds(Some("demo"), &Slice::default()).await.unwrap().items.pop().unwrap();
    control.create_project(&asked(), NewProject { name: "other".into() }).await.unwrap();
    let none = NewEnvironment { project: "other".into(), ..environment("live", Stage::Production, None) };
    refused(control.create_environment(&asked(), none.clone()).await, Kind::WrongState);
    let foreign = NewEnvironment { build: Some(foreign.id), ..none };
    refused(control.create_environment(&asked(), foreign).await, Kind::Invalid);
    control.create_environment(&asked(), environment("next", Stage::Staging, None)).await.unwrap();
}

#[tokio::test]
async fn restores_are_checked() {
    let platform = Platform::new().await;
    platform.environment().await;
    let control = &platform.control;
    let at = |at| NewRestore { snapshot: None, at: Some(at) };
    let to = |snapshot: &str| NewRestore { snapshot: Some(snapshot.into()), at: None };
    control.create_tenant(&asked(), new_tenant("draft")).await.unwrap();
    refused(control.create_restore(&asked(), "draft", at(Timestamp::now())).await, Kind::WrongState);
    control.cancel_run(RunId(control.runs(&Default::default()).await.unwrap().items[0].id)).await.unwrap();

    platform.tenant("acme").await;
    let globex = platform.tenant("globex").await;
    let foreign = platform.snapshot("globex", &globex, "theirs").await;
    let now = Timestamp::now();
    let refusal = refused(
        control.create_restore(&asked(), "acme", at(now + Duration::from_secs(60))).await,
        Kind::Invalid,
    );
    assert!(refusal.detail.contains("future"), "{refusal}");
    let early = now - Duration::from_secs(8 * 24 * 60 * 60);
    let refusal = refused(control.create_restore(&asked(), "acme", at(early)).await, Kind::Invalid);
    assert!(refusal.hint.as_deref().unwrap().contains("choose a time from"), "{refusal:?}");
    let refusal =
        refused(control.create_restore(&asked(), "acme", to(&foreign.to_string())).await, Kind::Invalid);
    assert!(refusal.detail.contains("one of globex, not of acme"), "{refusal}");
    refused(control.create_restore(&asked(), "acme", to("theirs")).await, Kind::NotFound);
    refused(
        control.create_restore(&asked(), "acme", to(&SnapshotId::new().to_string())).await,
        Kind::NotFound,
    );
    let both = NewRestore { snapshot: Some("theirs".into()), at: Some(now) };
    refused(control.create_restore(&asked(), "globex", both).await, Kind::Invalid);
    let neither = NewRestore { snapshot: None, at: None };
    refused(control.create_restore(&asked(), "globex", neither).await, Kind::Invalid);
    refused(control.create_restore(&asked(), "nobody", at(now)).await, Kind::NotFound);
    assert!(control.restores("acme", &Slice::default()).await.unwrap().items.is_empty());

    let snapshot =
        NewSnapshot { name: Some("soon".into()), kind: None, expires_at: None, ..Default::default() };
    control.create_snapshot(&asked(), "globex", snapshot.clone()).await.unwrap();
    let refusal = refused(control.create_restore(&asked(), "globex", to("soon")).await, Kind::WrongState);
    assert!(refusal.detail.contains("still being taken"), "{refusal}");
    refused(control.create_snapshot(&asked(), "globex", snapshot.clone()).await, Kind::Taken);
    let past = NewSnapshot { name: None, expires_at: Some(now - Duration::from_secs(1)), ..snapshot.clone() };
    refused(control.create_snapshot(&asked(), "globex", past).await, Kind::Invalid);
    let long = now + Duration::from_secs(11 * 366 * 24 * 60 * 60);
    let long = NewSnapshot { name: None, expires_at: Some(long), ..snapshot.clone() };
    refused(control.create_snapshot(&asked(), "globex", long).await, Kind::Invalid);
    let odd = NewSnapshot { name: Some("../x".into()), ..snapshot };
    refused(control.create_snapshot(&asked(), "globex", odd).await, Kind::Invalid);
    control
        .create_restore(&asked(), "globex", at(Timestamp::now() - Duration::from_millis(500)))
        .await
        .unwrap();
}

#[tokio::test]
async fn runs_are_checked() {
    let platform = Platform::new().await;
    platform.environment().await;
    let control = &platform.control;
    refused(control.run(RunId::new()).await, Kind::NotFound);
    refused(control.run_events(RunId::new(), 0).await, Kind::NotFound);
    refused(control.cancel_run(RunId::new()).await, Kind::NotFound);
    let built = RunId(control.runs(&Default::default()).await.unwrap().items[0].id);
    refused(control.cancel_run(built).await, Kind::WrongState);
    refused(control.retry_run(built).await, Kind::WrongState);
    let claim = protocol::internal::Claim {
        worker: model::WorkerId::new(),
        kinds: vec![],
        n: 1,
        previews: None,
        wait_ms: 0,
    };
    refused(control.claim(claim).await, Kind::NotFound);
}

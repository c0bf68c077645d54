//! A tenant's life.

use control::Kind;
use model::run::{RunKind, RunState};
use model::tenant::TenantState;
use protocol::internal::{Fact, Outcome, Work};

use crate::platform::{Platform, asked, failed, new_build, new_tenant, refused};

#[tokio::test]
async fn a_tenant_is_provisioned_and_backed_up() {
    let platform = Platform::new().await;
    platform.environment().await;
    let control = &platform.control;
    let created = control.create_tenant(&asked(), new_tenant("acme-two")).await.unwrap();
    assert_eq!(created.tenant.url, "http://acme-two.localhost:8080");
    assert_eq!(created.tenant.database, "acme_two");
    assert_eq!(created.tenant.state, TenantState::Provisioning);
    assert_eq!(created.admin_password.len(), 20);
    let claimed = platform.claim(RunKind::Provision).await;
    let Work::Provision { tenant, build, admin_password_hash } = &claimed.work else {
        panic!("not a provision")
    };
    assert!(admin_password_hash.starts_with("$pbkdf2-sha512$25000$"), "{admin_password_hash}");
    assert_eq!((tenant.ordinal, tenant.placed), (1, None));
    assert_eq!(tenant.hostnames, ["acme-two.localhost"]);
    assert_eq!(build.modules, ["base", "web"]);
    let (placed, lineage) = platform.cell(&claimed, None).await;
    assert!(platform.control.tenant("acme-two").await.unwrap().restorable_from.is_none());
    platform.backup(&claimed, &lineage).await;
    let fact = Fact::TenantProvisioned { tenant: tenant.tenant, placed };
    let first = platform.record(&claimed, fact.clone()).await.unwrap().activation.unwrap();
    let again = platform.record(&claimed, fact).await.unwrap().activation.unwrap();
    assert_eq!((first, first.lineage), (again, lineage.id));
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();

    // The hash is not kept once it has been used.
    let left = "SELECT count(*) FROM ops.runs WHERE payload <> '{}'";
    let left: i64 = platform.scratch.admin().await.query_one(left, &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
    assert!(platform.try_claim(&[RunKind::Backup]).await.is_none(), "a second first backup");
    let tenant = control.tenant("acme-two").await.unwrap();
    assert_eq!((tenant.state, tenant.lineage), (TenantState::Active, Some(lineage.id.0)));
    assert!(tenant.restorable_from.is_some());
    assert_eq!(control.tenant(&tenant.id.to_string()).await.unwrap().name, "acme-two");
    let assigned = control.assignments(platform.worker).await.unwrap().tenants;
    assert_eq!(assigned.len(), 1);
    assert_eq!((assigned[0].placed, assigned[0].activated_at), (Some(placed), Some(first.at)));
    let status = control.status().await.unwrap();
    assert_eq!((status.tenants.len(), status.workers[0].alive), (1, true));
}

#[tokio::test]
async fn a_failed_provision_is_retried() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.control.create_tenant(&asked(), new_tenant("acme")).await.unwrap();
    let claimed = platform.claim(RunKind::Provision).await;
    let (placed, _) = platform.cell(&claimed, None).await;
    platform.finish(&claimed, failed("the disk is full")).await.unwrap();
    assert_eq!(platform.control.tenant("acme").await.unwrap().state, TenantState::Draft);

    // Its half-made cell is dropped by a run of its own.
    assert_eq!(control::reconcile::cluster::tick(&platform.control).await.unwrap().queued, 1);
    let expire = platform.claim(RunKind::Expire).await;
    let Work::Expire { clusters, .. } = &expire.work else { panic!("not an expire") };
    assert_eq!(clusters, &[placed.cluster]);
    let dropped = Fact::ClusterDropped { cluster: placed.cluster };
    platform.record(&expire, dropped.clone()).await.unwrap();
    platform.record(&expire, dropped).await.unwrap();
    platform.finish(&expire, Outcome::Succeeded).await.unwrap();

    platform.control.retry_run(claimed.run).await.unwrap();
    let again = platform.claim(RunKind::Provision).await;
    let Work::Provision { admin_password_hash, .. } = &again.work else { panic!("not a provision") };
    assert!(admin_password_hash.starts_with("$pbkdf2-sha512$"));
    let (placed, _) = platform.cell(&again, None).await;
    let tenant = again.tenant.unwrap();
    platform.record(&again, Fact::TenantProvisioned { tenant, placed }).await.unwrap();
    platform.finish(&again, Outcome::Succeeded).await.unwrap();
    assert_eq!(platform.run(claimed.run).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn a_tenant_is_suspended_resumed_and_archived() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    let control = &platform.control;
    refused(control.resume_tenant("nobody").await, Kind::NotFound);
    assert_eq!(control.suspend_tenant("acme").await.unwrap().state, TenantState::Suspended);
    // Asked twice, it is so already.
    assert_eq!(control.suspend_tenant("acme").await.unwrap().state, TenantState::Suspended);
    assert_eq!(control.resume_tenant("acme").await.unwrap().state, TenantState::Active);
    let refusal = refused(control.archive_tenant("acme", "acne").await, Kind::Invalid);
    assert!(refusal.hint.unwrap().contains("type its name"));

    let snapshot =
        protocol::api::NewSnapshot { name: None, kind: None, expires_at: None, ..Default::default() };
    let snapshot = control.create_snapshot(&asked(), "acme", snapshot).await.unwrap();
    let archived = control.archive_tenant("acme", "acme").await.unwrap();
    assert_eq!(archived.state, TenantState::Archived);
    let run = platform.run(model::RunId(snapshot.run)).await;
    assert_eq!(run.reason.as_deref(), Some("its tenant was archived"));
    refused(control.resume_tenant("acme").await, Kind::WrongState);
    // The worker still keeps its cell, until retention drops it.
    assert_eq!(control.assignments(platform.worker).await.unwrap().tenants[0].state, TenantState::Archived);
    assert_eq!(control::reconcile::cluster::tick(control).await.unwrap().queued, 0);
    platform.sql("UPDATE ops.tenants SET archived_at = now() - interval '8 days'").await;
    assert_eq!(control::reconcile::cluster::tick(control).await.unwrap().queued, 1);
    let expire = platform.claim(RunKind::Expire).await;
    platform.record(&expire, Fact::ClusterDropped { cluster: served.placed.cluster }).await.unwrap();
    platform.finish(&expire, Outcome::Succeeded).await.unwrap();
    assert!(control.assignments(platform.worker).await.unwrap().tenants.is_empty());
}

#[tokio::test]
async fn a_serving_cluster_is_not_dropped() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    platform
        .sql(
            "SELECT ops.queue_runs(ARRAY[gen_random_uuid()], ARRAY[e.project_id], ARRAY['expire'],
                                    tenants => ARRAY[t.id])
              FROM ops.tenants t JOIN ops.environments e ON e.id = t.environment_id",
        )
        .await;
    let expire = platform.claim(RunKind::Expire).await;
    let Work::Expire { clusters, .. } = &expire.work else { panic!("not an expire") };
    assert!(clusters.is_empty());
    let dropped = Fact::ClusterDropped { cluster: served.placed.cluster };
    refused(platform.record(&expire, dropped).await, Kind::WrongState);
}

#[tokio::test]
async fn a_failed_build_is_built_again() {
    let platform = Platform::new().await;
    platform.environment().await;
    let build = platform.control.create_build(&asked(), new_build()).await.unwrap();
    let claimed = platform.claim(RunKind::Build).await;
    platform.finish(&claimed, failed("no module named nothing")).await.unwrap();
    let build = model::BuildId(build.id);
    assert_eq!(platform.control.build(build).await.unwrap().state, model::project::BuildState::Failed);
    platform.control.retry_run(claimed.run).await.unwrap();
    let claimed = platform.claim(RunKind::Build).await;
    let fact = Fact::BuildReady { build, odoo_version: "18.0".into() };
    platform.record(&claimed, fact.clone()).await.unwrap();
    platform.record(&claimed, fact).await.unwrap();
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();
    let built = platform.control.build(build).await.unwrap();
    assert_eq!(built.odoo_version.as_deref(), Some("18.0"));
}

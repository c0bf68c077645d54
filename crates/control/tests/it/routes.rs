//! What the router is shown, and what workers are asked.

use std::time::{Duration, Instant};

use control::{Kind, Settings};
use model::tenant::{Serving, TenantState};
use protocol::internal::{Answer, Ask, LogSource, Observed, ObservedTenant};

use crate::platform::{Platform, asked, new_tenant, refused, register};

fn seen(tenant: model::TenantId, http: &str) -> Observed {
    let tenant = ObservedTenant {
        tenant,
        serving: Serving::Serving,
        http: Some(http.into()),
        gevent: None,
        router_key: Some("key".into()),
        cell_port: Some(5433),
    };
    Observed { tenants: vec![tenant], ..Observed::default() }
}

#[tokio::test]
async fn the_table_follows_what_changes() {
    let platform = Platform::new().await;
    platform.environment().await;
    let control = &platform.control;
    let empty = control.routes(None, Duration::ZERO).await.unwrap();
    assert!(empty.routes.is_empty());
    // Nothing changes: it waits, and answers with the same version.
    let since = Instant::now();
    let same = control.routes(Some(&empty.version), Duration::from_millis(250)).await.unwrap();
    assert_eq!(same.version, empty.version);
    assert!(since.elapsed() >= Duration::from_millis(250));

    let served = platform.tenant("acme").await;
    let table = control.routes(Some(&empty.version), Duration::ZERO).await.unwrap();
    assert_eq!(table.routes[0].host, "acme.localhost");
    assert_eq!((table.routes[0].state, table.routes[0].serving), (TenantState::Active, Serving::Starting));

    let waiting = {
        let (control, version) = (control.clone(), table.version.clone());
        tokio::spawn(async move { control.routes(Some(&version), Duration::from_secs(10)).await.unwrap() })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    let since = Instant::now();
    control.observed(platform.worker, seen(served.id, "127.0.0.1:8069")).await.unwrap();
    let table = waiting.await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(1), "took {:?}", since.elapsed());
    assert_eq!(table.routes[0].http.as_deref(), Some("127.0.0.1:8069"));
    assert_eq!(table.routes[0].router_key.as_deref(), Some("key"));

    // A change by another process is found by looking again.
    let waiting = {
        let (control, version) = (control.clone(), table.version.clone());
        tokio::spawn(async move { control.routes(Some(&version), Duration::from_secs(10)).await.unwrap() })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    platform.sql("UPDATE ops.tenants SET state = 'suspended'").await;
    assert_eq!(waiting.await.unwrap().routes[0].state, TenantState::Suspended);

    // Of a tenant on its host, another worker is not believed.
    let other = register(control, "elsewhere").await;
    control.observed(other, seen(served.id, "127.0.0.1:6666")).await.unwrap();
    let table = control.routes(None, Duration::ZERO).await.unwrap();
    assert_eq!(table.routes[0].http.as_deref(), Some("127.0.0.1:8069"));
}

#[tokio::test]
async fn logs_are_asked_of_the_worker() {
    let settings = Settings { answer_wait: Duration::from_millis(300), ..Settings::default() };
    let platform = Platform::with(settings).await;
    platform.environment().await;
    let control = &platform.control;
    control.create_tenant(&asked(), new_tenant("draft")).await.unwrap();
    refused(control.tenant_log("draft", LogSource::Odoo, 10).await, Kind::WrongState);
    control
        .cancel_run(model::RunId(control.runs(&Default::default()).await.unwrap().items[0].id))
        .await
        .unwrap();
    let served = platform.tenant("acme").await;
    let answering = {
        let (control, worker) = (control.clone(), platform.worker);
        tokio::spawn(async move {
            let questions = control.questions(worker, Duration::from_secs(5)).await.unwrap().questions;
            let Ask::TenantLog { lines, .. } = questions[0].ask;
            let answer = Answer { id: questions[0].id, lines: vec![format!("{lines} lines")] };
            // Only the worker that was asked may answer.
            control.answer(model::WorkerId::new(), answer.clone()).await.unwrap();
            control.answer(worker, answer).await.unwrap();
            questions[0].ask.clone()
        })
    };
    let log = control.tenant_log("acme", LogSource::Odoo, 50).await.unwrap();
    assert_eq!(log.lines, ["50 lines"]);
    let Ask::TenantLog { tenant, lineage, .. } = answering.await.unwrap();
    assert_eq!((tenant, lineage), (served.id, served.lineage.id));
    refused(control.tenant_log("acme", LogSource::Odoo, 50).await, Kind::Unavailable);
    // A question that nobody waits for is not asked later.
    let late = control.questions(platform.worker, Duration::ZERO).await.unwrap();
    assert!(late.questions.is_empty());
}

//! Where no Odoo answers, visitors get a page that says why, and programs JSON.

use std::net::SocketAddr;

use model::tenant::{Serving, TenantState};

use crate::harness::{Platform, entry};

#[tokio::test]
async fn each_state_has_its_page() {
    let nobody: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let tenant = |host: &str, state, serving, http: bool| {
        let mut entry = entry(host, http.then_some(nobody));
        (entry.state, entry.serving) = (state, serving);
        entry
    };
    use TenantState::{Active, Archived, Draft, Provisioning, Suspended};
    let platform = Platform::start(vec![
        tenant("draft.localhost", Draft, Serving::Stopped, false),
        tenant("new.localhost", Provisioning, Serving::Starting, false),
        tenant("starting.localhost", Active, Serving::Starting, true),
        tenant("resumed.localhost", Active, Serving::Stopped, false),
        tenant("failing.localhost", Active, Serving::Failing, false),
        tenant("suspended.localhost", Suspended, Serving::Stopped, false),
        tenant("late.localhost", Suspended, Serving::Serving, true),
        tenant("archived.localhost", Archived, Serving::Stopped, false),
    ])
    .await;
    for (host, status, kind, retry) in [
        ("draft.localhost", 503, "tenant-preparing", Some("10")),
        ("new.localhost", 503, "tenant-preparing", Some("10")),
        ("starting.localhost", 503, "tenant-starting", Some("3")),
        ("resumed.localhost", 503, "tenant-starting", Some("3")),
        ("failing.localhost", 503, "tenant-unavailable", Some("15")),
        ("suspended.localhost", 503, "tenant-suspended", Some("3600")),
        ("late.localhost", 503, "tenant-suspended", Some("3600")),
        ("archived.localhost", 410, "tenant-archived", None),
        ("unknown.localhost", 404, "unknown-host", None),
    ] {
        let page = platform.get(host, "/web").await;
        assert_eq!(page.status, status, "{host}");
        assert_eq!(page.header("retry-after"), retry, "{host}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{host}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{host}");
        assert_eq!(page.header("refresh").is_some(), retry.is_some() && kind != "tenant-suspended", "{host}");
        assert!(page.body.starts_with("<!doctype html>") && page.body.contains(host), "{host}");
        for other in ["acme", "globex", "draft", "suspended.", "archived.", "failing."] {
            assert!(host.contains(other) || !page.body.contains(other), "{host}: {other}");
        }

        let json = platform
            .send(&format!(
                "POST /jsonrpc HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nContent-Length: 2\r\n\
                 Connection: close\r\n\r\n{{}}"
            ))
            .await;
        assert_eq!(json.status, status, "{host}");
        assert_eq!(json.header("content-type"), Some("application/json"), "{host}");
        let body: serde_json::Value = serde_json::from_str(&json.body).unwrap();
        assert_eq!((&body["type"], &body["status"]), (&kind.into(), &status.into()), "{host}");
    }
}

//! The hostname chooses the tenant; nothing that a client says beside it does.

use crate::harness::{Platform, Upstream, entry};

async fn two() -> (Platform, Upstream, Upstream) {
    let (acme, globex) = (Upstream::start("acme").await, Upstream::start("globex").await);
    let routes =
        vec![entry("acme.localhost", Some(acme.address)), entry("globex.localhost", Some(globex.address))];
    (Platform::start(routes).await, acme, globex)
}

#[tokio::test]
async fn each_host_reaches_its_tenant() {
    let (platform, _acme, _globex) = two().await;
    for (host, upstream) in [
        ("acme.localhost", "acme"),
        ("globex.localhost", "globex"),
        ("ACME.LocalHost", "acme"),
        ("acme.localhost:8080", "acme"),
        ("globex.localhost.", "globex"),
        ("globex.localhost.:80", "globex"),
    ] {
        assert_eq!(platform.get(host, "/web").await.said().upstream(), upstream, "{host}");
    }
    for host in ["localhost", "127.0.0.1", "acme", "x.acme.localhost", "acme.localhost.example", "[::1]"] {
        assert_eq!(platform.get(host, "/web").await.status, 404, "{host}");
    }
}

#[tokio::test]
async fn nothing_beside_the_host_chooses_a_tenant() {
    let (platform, _acme, globex) = two().await;
    for (target, headers) in [
        ("/web?db=globex", ""),
        ("/web/login?db=globex&redirect=x", ""),
        ("/globex.localhost/web", ""),
        ("//globex.localhost/web", ""),
        ("/http://globex.localhost/web", ""),
        ("http://acme.localhost/web", ""),
        ("/web", "X-Forwarded-Host: globex.localhost\r\n"),
        ("/web", "X-Forwarded-Server: globex.localhost\r\n"),
        ("/web", "Forwarded: host=globex.localhost\r\n"),
        ("/web", "X-Odoo-Database: globex\r\n"),
        ("/web", "X-Odoo-Dbfilter: globex\r\n"),
        ("/web", "X_Odoo_Database: globex\r\n"),
        ("/web", "X-Original-URL: http://globex.localhost/\r\n"),
        ("/web", "X-Heddle-Router: key-of-globex.localhost\r\n"),
        ("/web", "X_Heddle_Router: key-of-globex.localhost\r\n"),
        ("/web", "HTTP_HOST: globex.localhost\r\n"),
        ("/web", "Cookie: session_id=0123; db=globex; last_used_database=globex\r\n"),
        ("/web", "Connection: Host, X-Forwarded-Host, X-Heddle-Router\r\n"),
    ] {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: acme.localhost\r\n{headers}Connection: close\r\n\r\n");
        let said = platform.send(&request).await.said();
        assert_eq!(said.upstream(), "acme", "{target} {headers}");
        assert_eq!(said.header("host"), ["acme.localhost"], "{target} {headers}");
        assert_eq!(said.header("x-forwarded-host"), ["acme.localhost"], "{target} {headers}");
        assert_eq!(said.header("x-heddle-router"), ["key-of-acme.localhost"], "{target} {headers}");
        for gone in ["x-odoo-database", "x-odoo-dbfilter", "forwarded", "x-original-url"] {
            assert!(said.header(gone).is_empty(), "{target} {headers}: {gone}");
        }
        let names = said.0["headers"].as_array().unwrap();
        assert!(names.iter().all(|pair| !pair[0].as_str().unwrap().contains('_')), "{target} {headers}");
        assert!(said.target().starts_with('/') && !said.target().starts_with("//"), "{target}");
    }
    assert_eq!(globex.hits(), 0);
}

#[tokio::test]
async fn odoo_learns_who_asks() {
    let (platform, _acme, _globex) = two().await;
    let request = "GET /web?a=b%20c HTTP/1.1\r\nHost: Acme.localhost:8080\r\nX-Forwarded-For: 6.6.6.6\r\n\
                   X-Real-IP: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nCookie: a=1\r\nKeep-Alive: 5\r\n\
                   Connection: close\r\n\r\n";
    let reply = platform.send(request).await;
    let said = reply.said();
    assert_eq!(said.target(), "/web?a=b%20c");
    for (name, expected) in [
        ("host", &["acme.localhost:8080"][..]),
        ("x-forwarded-host", &["acme.localhost:8080"]),
        ("x-forwarded-for", &["127.0.0.1"]),
        ("x-real-ip", &["127.0.0.1"]),
        ("x-forwarded-proto", &["http"]),
        ("x-forwarded-port", &["8080"]),
        ("cookie", &["a=1"]),
        ("keep-alive", &[]),
        ("connection", &[]),
    ] {
        assert_eq!(said.header(name), expected, "{name}");
    }
    // Without a port in the host, the port is the one that was connected to.
    let said = platform.get("acme.localhost", "/").await.said();
    assert_eq!(said.header("x-forwarded-port"), [platform.address.port().to_string()]);

    assert_eq!(reply.head.matches("set-cookie: ").count(), 2, "{}", reply.head);
    assert_eq!(reply.header("x-heddle-secret"), None);
    assert_eq!(reply.header("keep-alive"), None);
}

#[tokio::test]
async fn live_paths_reach_gevent_where_there_is_one() {
    let (http, gevent) = (Upstream::start("http").await, Upstream::start("gevent").await);
    let mut both = entry("both.localhost", Some(http.address));
    both.gevent = Some(gevent.address.to_string());
    let platform = Platform::start(vec![both, entry("one.localhost", Some(http.address))]).await;
    for (path, upstream) in [
        ("/longpolling/poll", "gevent"),
        ("/websocket/health", "gevent"),
        ("/web", "http"),
        ("/longpolling/../web", "http"),
    ] {
        assert_eq!(platform.get("both.localhost", path).await.said().upstream(), upstream, "{path}");
        assert_eq!(platform.get("one.localhost", path).await.said().upstream(), "http", "{path}");
    }
}

#[tokio::test]
async fn the_database_manager_is_closed_in_every_spelling() {
    let (platform, acme, _) = two().await;
    for target in [
        "/web/database",
        "/web/database/manager",
        "/web/database/selector?x=y",
        "/web/%64atabase",
        "//web/database",
        "/web//database/manager",
        "/web/./database/manager",
        "/x/../web/database",
        "/x/%2e%2e/web/database",
        "/web/database%2fmanager",
        "/web%2fdatabase%2Fmanager",
        "/web/%2564atabase/manager",
        "/WEB/DATABASE/manager",
        "/fr_FR/web/database/manager",
        "//globex.localhost/web/database/manager",
        "http://acme.localhost/web/database/manager",
        "http://acme.localhost//web/database/manager",
    ] {
        for method in ["GET", "POST", "HEAD", "PUT"] {
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            assert_eq!(platform.send(&request).await.status, 403, "{method} {target}");
        }
    }
    assert_eq!(acme.hits(), 0);
}

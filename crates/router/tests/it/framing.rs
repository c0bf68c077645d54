//! Requests that two readers could understand differently end at the router.

use crate::harness::{Platform, Upstream, entry, read_to_end};
use tokio::io::AsyncWriteExt;

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: globex.localhost\r\n\r\n";

async fn platform() -> (Platform, Upstream) {
    let upstream = Upstream::start("acme").await;
    let routes = vec![
        entry("acme.localhost", Some(upstream.address)),
        entry("globex.localhost", Some(upstream.address)),
    ];
    (Platform::start(routes).await, upstream)
}

#[tokio::test]
async fn ambiguous_heads_are_refused_and_never_forwarded() {
    let (platform, upstream) = platform().await;
    let host = "Host: acme.localhost\r\n";
    for head in [
        // Which host?
        "GET / HTTP/1.1\r\n".to_owned(),
        "GET / HTTP/1.0\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost:\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\n{host}Host: globex.localhost\r\n"),
        format!("GET / HTTP/1.1\r\n{host}{host}"),
        format!("GET / HTTP/1.1\r\n{host}hOST: acme.localhost\r\n"),
        "GET / HTTP/1.1\r\nHost: acme.localhost, globex.localhost\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: acme.localhost globex.localhost\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: globex@acme.localhost\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: acme.localhost/globex\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: acme.localhost:8o\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: acme%2elocalhost\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost : acme.localhost\r\n".to_owned(),
        "GET / HTTP/1.1\r\n Host: acme.localhost\r\n".to_owned(),
        format!("GET http://globex.localhost/ HTTP/1.1\r\n{host}"),
        format!("GET http://acme.localhost:81/ HTTP/1.1\r\n{host}"),
        format!("GET http://globex@acme.localhost/ HTTP/1.1\r\n{host}"),
        "GET http://acme.localhost/ HTTP/1.1\r\n".to_owned(),
        format!("GET ftp://acme.localhost/ HTTP/1.1\r\n{host}"),
        // Which target?
        "CONNECT acme.localhost:80 HTTP/1.1\r\nHost: acme.localhost:80\r\n".to_owned(),
        format!("CONNECT / HTTP/1.1\r\n{host}"),
        format!("GET acme.localhost HTTP/1.1\r\n{host}"),
        format!("OPTIONS * HTTP/1.1\r\n{host}"),
        format!("GET  / HTTP/1.1\r\n{host}"),
        format!("GET / x HTTP/1.1\r\n{host}"),
        format!("GET /\t HTTP/1.1\r\n{host}"),
        format!("GET / HTTP/1.2\r\n{host}"),
        format!("GET / HTTP/2.0\r\n{host}"),
        format!("GET / http/1.1\r\n{host}"),
        format!("GET /\r\n{host}"),
        format!("G@T / HTTP/1.1\r\n{host}"),
        // Which headers?
        format!("GET / HTTP/1.1\r\n{host}A: b\r\n c\r\n"),
        format!("GET / HTTP/1.1\r\n{host}A: b\rX-Odoo-Database: globex\r\n"),
        format!("GET / HTTP/1.1\r\n{host}A: b\nX-Odoo-Database: globex\r\n"),
        format!("GET / HTTP/1.1\r\n{host}A: b\0c\r\n"),
        format!("GET / HTTP/1.1\r\n{host}A b: c\r\n"),
        format!("GET / HTTP/1.1\r\n{host}A\u{e9}: c\r\n"),
        format!("GET / HTTP/1.1\r\n{host}A\r\n"),
        format!("GET / HTTP/1.1\r\n{host}: c\r\n"),
        format!("GET / HTTP/1.1\n{host}"),
        "GET / HTTP/1.1\r\nHost: acme.localhost\n".to_owned(),
        // How long?
        format!("POST / HTTP/1.1\r\n{host}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nContent-Length: 6\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Content-Length: 0\r\nContent-Length: 60\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Content-Length: 0\r\nContent-Length: 0\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Content-Length: 0, 0\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Content-Length: +0\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Content-Length: -1\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Content-Length: 0x0\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Content-Length: 0 0\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Content-Length:\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Content-Length: 18446744073709551616\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Content-Length : 0\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: xchunked\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: identity\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: gzip, chunked\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked, identity\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding:\x0bchunked\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding : chunked\r\n"),
        format!("POST / HTTP/1.0\r\n{host}Transfer-Encoding: chunked\r\n"),
    ] {
        // Whatever hides behind such a head is never a request of its own.
        let text = platform.raw(format!("{head}\r\n0\r\n\r\n{HIDDEN}")).await;
        let refused = text.starts_with("HTTP/1.1 400 ") || text.starts_with("HTTP/1.0 400 ");
        assert!(refused, "{head:?}: {text:?}");
        assert_eq!(text.matches("HTTP/1.").count(), 1, "{head:?}: {text:?}");
    }
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn bad_chunks_are_refused() {
    let (platform, _upstream) = platform().await;
    for chunks in [
        "\r\n",
        "x\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabc\r\n0\r\nA: b\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
    ] {
        let head = "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        let text = platform.raw(format!("{head}{chunks}{HIDDEN}")).await;
        assert!(text.starts_with("HTTP/1.1 400 "), "{chunks:?}: {text:?}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{chunks:?}: {text:?}");
        assert!(!text.contains("/hidden"), "{chunks:?}: {text:?}");
    }
}

#[tokio::test]
async fn a_refusal_ends_the_connection_but_not_the_answers_before_it() {
    let (platform, upstream) = platform().await;
    let good = "GET /good HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
    let bad = "GET /bad HTTP/1.1\r\nHost: acme.localhost\r\nHost: acme.localhost\r\n\r\n";
    let text = platform.raw(format!("{good}{bad}{good}")).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text:?}");
    assert!(text.contains("HTTP/1.1 400 "), "{text:?}");
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test]
async fn chunked_bodies_are_framed_anew_without_trailers() {
    let (platform, _upstream) = platform().await;
    let request = "POST /x HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: Chunked\r\nTE: trailers\r\n\
                   Trailer: X-Odoo-Database\r\nConnection: close\r\n\r\n\
                   5;ext=1\r\nhello\r\n006\r\n world\r\n0\r\nX-Odoo-Database: globex\r\n\r\n";
    let said = platform.send(request).await.said();
    assert_eq!(said.0["body"], "hello world");
    for gone in ["te", "trailer", "x-odoo-database", "content-length"] {
        assert!(said.header(gone).is_empty(), "{gone}");
    }
    assert_eq!(said.header("transfer-encoding"), ["chunked"]);
}

#[tokio::test]
async fn requests_in_a_pipeline_are_answered_in_order() {
    let (platform, _upstream) = platform().await;
    let request = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: {}\r\n{body}",
            body.len() - 2
        )
    };
    let pipeline = [
        request("/one", "\r\nfirst"),
        "\r\n".to_owned(),
        "GET /two HTTP/1.1\r\nHost: globex.localhost\r\n\r\n".to_owned(),
        "POST /three HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n".to_owned(),
        "GET /four HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n\r\n".to_owned(),
    ]
    .concat();
    // Also when the bytes come one by one.
    let mut slowly = platform.connect().await;
    slowly.set_nodelay(true).unwrap();
    for byte in pipeline.bytes() {
        slowly.write_all(&[byte]).await.unwrap();
    }
    for text in [platform.raw(&pipeline).await, read_to_end(&mut slowly).await] {
        let places: Vec<_> = ["/one", "/two", "/three", "/four"]
            .map(|path| {
                text.find(&format!("\"target\":\"{path}\"")).unwrap_or_else(|| panic!("{path}: {text}"))
            })
            .into();
        assert!(places.is_sorted(), "{text}");
        assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 4);
    }
}

#[tokio::test]
async fn an_upgrade_to_another_protocol_is_left_out_and_ends_the_connection() {
    let (platform, upstream) = platform().await;
    let request = "GET / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
    let text = platform.raw(format!("{request}{HIDDEN}")).await;
    let reply = crate::harness::Reply::parse(&text);
    assert_eq!(reply.header("connection"), Some("close"));
    let said = reply.said();
    for gone in ["upgrade", "http2-settings", "connection"] {
        assert!(said.header(gone).is_empty(), "{gone}");
    }
    assert_eq!(upstream.hits(), 1);
    let preface = platform.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(preface.is_empty() || preface.starts_with("HTTP/1.1 400 "), "{preface:?}");
}

#[tokio::test]
async fn trace_never_shows_what_the_router_says() {
    let (platform, upstream) = platform().await;
    let reply = platform.send("TRACE / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!(reply.status, 405);
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn heads_have_a_size() {
    let (platform, upstream) = platform().await;
    let head = "GET / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n";
    let many: String = (0..200).map(|n| format!("A-{n}: b\r\n")).collect();
    let long = "x".repeat(100_000);
    for headers in [many, format!("A: {long}\r\n")] {
        assert_eq!(platform.send(&format!("{head}{headers}\r\n")).await.status, 431);
    }
    let target = platform.send(&format!("GET /{long} HTTP/1.1\r\nHost: acme.localhost\r\n\r\n")).await.status;
    assert!(matches!(target, 414 | 431), "{target}");
    assert_eq!(upstream.hits(), 0);
    let large = format!("{head}Cookie: {}\r\n\r\n", "x".repeat(30_000));
    assert_eq!(platform.send(&large).await.said().header("cookie")[0].len(), 30_000);
}

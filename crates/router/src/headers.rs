//! Which headers pass, and what the router adds to them.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use model::route::Host;

/// Shown to a tenant's Odoo, which answers nobody without its key.
const ROUTER_KEY: HeaderName = HeaderName::from_static("x-heddle-router");

/// What only the platform says to an Odoo, whatever a client claims.
/// `Forwarded` and `X-Forwarded-*` are here because the router is the one proxy
/// that Odoo trusts.
const OURS: &[&str] =
    &["x-odoo-", "x-heddle-", "x-forwarded-", "x-real-ip", "forwarded", "x-original-", "x-rewrite-"];

/// Between two neighbours only (RFC 9110, 7.6.1), or about one proxy.
/// `Expect` is answered by the router itself.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What Odoo is told about where a request came from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) client: IpAddr,
    pub(crate) host: Host,
    /// The port that the client connected to.
    pub(crate) port: u16,
}

/// Leaves of a client's headers what may reach an Odoo.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    strip(headers, |name| {
        // WSGI makes one of `X-Odoo-Database` and `X_Odoo_Database`.
        name.contains('_') || OURS.iter().any(|ours| name.starts_with(ours)) || HOP_BY_HOP.contains(&name)
    });
}

/// Leaves of an Odoo's headers what may reach a client.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    strip(headers, |name| name.starts_with("x-heddle-") || HOP_BY_HOP.contains(&name));
}

fn strip(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let named: Vec<HeaderName> = tokens(headers, header::CONNECTION)
        .filter_map(|token| token.parse().ok())
        // A client must not be able to take away what the router relies on.
        .filter(|name| !matches!(*name, header::HOST | header::CONTENT_LENGTH))
        .collect();
    let doomed: Vec<HeaderName> =
        headers.keys().filter(|name| named.contains(name) || unwanted(name.as_str())).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

/// Says to Odoo who asks, for which host, and that it is the router who says so.
pub(crate) fn introduce(headers: &mut HeaderMap, origin: &Origin, router_key: Option<&HeaderValue>) {
    let client = text(origin.client.to_string());
    let host = text(origin.host.to_string());
    headers.insert(header::HOST, host.clone());
    headers.insert(HeaderName::from_static("x-forwarded-host"), host);
    headers.insert(HeaderName::from_static("x-forwarded-for"), client.clone());
    headers.insert(HeaderName::from_static("x-real-ip"), client);
    headers.insert(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static("http"));
    headers.insert(HeaderName::from_static("x-forwarded-port"), text(origin.port.to_string()));
    if let Some(key) = router_key {
        let mut key = key.clone();
        key.set_sensitive(true);
        headers.insert(ROUTER_KEY, key);
    }
}

/// Asks Odoo for a WebSocket, written as Odoo compares it.
pub(crate) fn ask_for_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// The request asks to become a WebSocket.
pub(crate) fn wants_websocket(headers: &HeaderMap) -> bool {
    tokens(headers, header::UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
        && tokens(headers, header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
}

/// The client would rather read JSON than a page.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    let json = |name| tokens(headers, name).any(|token| token.to_ascii_lowercase().contains("/json"));
    let html =
        tokens(headers, header::ACCEPT).any(|token| token.to_ascii_lowercase().starts_with("text/html"));
    !html && (json(header::ACCEPT) || json(header::CONTENT_TYPE))
}

/// The elements of a header that is a list, except those that are no text.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .filter_map(|token| std::str::from_utf8(token).ok())
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

fn text(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("addresses, hosts and ports are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn what_only_the_platform_says_is_taken_from_clients() {
        for name in [
            "X-Odoo-Database",
            "x-odoo-anything",
            "X_Odoo_Database",
            "X-Odoo_Database",
            "X_Forwarded_Host",
            "HTTP_HOST",
            "Content_Length",
            "_",
            "X-Heddle-Router",
            "X-Heddle-Anything",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "X-Forwarded-Server",
            "X-Forwarded-Prefix",
            "Forwarded",
            "X-Real-IP",
            "X-Original-URL",
            "X-Rewrite-URL",
            "Connection",
            "Keep-Alive",
            "Proxy",
            "Proxy-Connection",
            "Proxy-Authorization",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "HTTP2-Settings",
            "Expect",
        ] {
            let mut headers = map(&[(name, "x"), (name, "y")]);
            strip_request(&mut headers);
            assert!(headers.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_clients_may_say_passes() {
        let lines = [
            ("accept", "*/*"),
            ("authorization", "Bearer x"),
            ("cookie", "session_id=1"),
            ("cookie", "b=2"),
            ("content-length", "3"),
            ("content-type", "application/json"),
            ("range", "bytes=0-1"),
            ("sec-websocket-key", "x"),
            ("x-requested-with", "XMLHttpRequest"),
            ("x-openerp-session-id", "1"),
            ("odoo-database", "x"),
        ];
        let mut headers = map(&lines);
        strip_request(&mut headers);
        assert_eq!(headers, map(&lines));
    }

    #[test]
    fn what_connection_names_is_dropped_except_what_routes() {
        let mut headers = map(&[
            ("connection", "close, X-Private ,,é"),
            ("connection", "Host, Content-Length"),
            ("x-private", "1"),
            ("host", "acme"),
            ("content-length", "3"),
        ]);
        strip_request(&mut headers);
        assert_eq!(headers, map(&[("host", "acme"), ("content-length", "3")]));
    }

    #[test]
    fn odoo_learns_who_asks_from_the_router_alone() {
        let mut headers = map(&[("host", "Acme.localhost.:8080")]);
        let origin = Origin {
            client: "192.0.2.7".parse().unwrap(),
            host: "Acme.localhost.:8080".parse().unwrap(),
            port: 8080,
        };
        introduce(&mut headers, &origin, Some(&HeaderValue::from_static("key")));
        let expected = map(&[
            ("host", "acme.localhost:8080"),
            ("x-forwarded-host", "acme.localhost:8080"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-real-ip", "192.0.2.7"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-port", "8080"),
            ("x-heddle-router", "key"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn websockets_are_recognised_in_any_case() {
        for (upgrade, connection, expected) in [
            ("websocket", "Upgrade", true),
            ("WebSocket", "keep-alive, upgrade", true),
            ("h2c, websocket", "UPGRADE", true),
            ("h2c", "Upgrade, HTTP2-Settings", false),
            ("websocket", "keep-alive", false),
            ("websockets", "Upgrade", false),
        ] {
            let headers = map(&[("upgrade", upgrade), ("connection", connection)]);
            assert_eq!(wants_websocket(&headers), expected, "{upgrade} {connection}");
        }
    }

    #[test]
    fn machines_get_json_and_people_pages() {
        for (lines, expected) in [
            (&[][..], false),
            (&[("accept", "*/*")], false),
            (&[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")], false),
            (&[("accept", "application/json")], true),
            (&[("accept", "application/json, text/javascript, */*; q=0.01")], true),
            (&[("accept", "application/json, text/html")], false),
            (&[("accept", "*/*"), ("content-type", "application/json")], true),
        ] {
            assert_eq!(wants_json(&map(lines)), expected, "{lines:?}");
        }
    }
}

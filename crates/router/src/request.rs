//! What becomes of one request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use model::route::{Host, PathKind};

use crate::body::{Answer, BodyFault};
use crate::headers::{self, Origin};
use crate::listen::{Connection, Shared};
use crate::page::Page;
use crate::upstream::{self, Ask};
use crate::websocket;

/// Answers a request. Never fails: what goes wrong becomes a page.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let begun = Instant::now();
    let asked = (request.method().clone(), request.uri().clone());
    // Bytes behind an upgrade may be of any protocol: if it does not come about,
    // the connection ends with the answer. So it does behind a request for no
    // host, which may be of any kind too.
    let upgrade = request.headers().contains_key(header::UPGRADE);
    let host = host(&request);
    let json = headers::wants_json(request.headers());
    let result = match &host {
        Ok(host) => serve(&shared, &connection, host, request).await,
        Err(page) => Err(*page),
    };
    let host = host.ok();
    let mut response = result.unwrap_or_else(|page| page.answer(host.as_ref(), json));
    if upgrade && response.status() != StatusCode::SWITCHING_PROTOCOLS || host.is_none() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    tracing::debug!(
        client = %connection.client,
        host = host.as_ref().map(Host::name),
        method = %asked.0,
        path = asked.1.path(),
        status = response.status().as_u16(),
        ms = begun.elapsed().as_millis() as u64,
        "request"
    );
    Ok(response)
}

async fn serve(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    host: &Host,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Page> {
    let in_flight = shared.in_flight();
    daemon::fault::reach("router.request").await;
    let path = PathKind::of(request.uri().path());
    admit(shared, host, path, &request)?;

    let websocket = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && headers::wants_websocket(request.headers());
    let (mut parts, body) = request.into_parts();
    headers::strip_request(&mut parts.headers);
    let origin = Origin {
        client: connection.client,
        port: host.port().unwrap_or(connection.port),
        host: host.clone(),
    };
    let client = websocket.then(|| parts.extensions.remove::<hyper::upgrade::OnUpgrade>()).flatten();
    let ask = Ask { parts, origin, path, websocket: client.is_some() };
    let body = (!body.is_end_stream()).then_some((body, shared.limits.body));
    let mut response = upstream::ask(&shared.table, ask, body, shared.limits.upstream()).await?;

    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(client) = client else {
            tracing::warn!(host = host.name(), "an Odoo switched protocols without being asked to");
            return Err(Page::UpstreamFailed);
        };
        return Ok(websocket::switch(shared, connection, client, &mut response));
    }
    let mut response = response.map(|body| Answer::Upstream(body, in_flight));
    headers::strip_response(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    Ok(response)
}

/// Refuses what no upstream has to see.
fn admit(shared: &Shared, host: &Host, path: PathKind, request: &Request<Incoming>) -> Result<(), Page> {
    let table = shared.table.borrow().clone();
    if table.is_unknown() {
        return Err(Page::NoTable);
    }
    table.find(host).ok_or(Page::UnknownHost)?.upstream(path).map_err(Page::Refused)?;
    // TRACE would show the client what the router says to Odoo, the key included.
    if *request.method() == Method::TRACE {
        return Err(Page::Method);
    }
    let expects = request.headers().get_all(header::EXPECT);
    if expects.iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Page::Expectation);
    }
    if request.body().size_hint().lower() > shared.limits.body {
        return Err(Page::Body(BodyFault::TooLarge));
    }
    Ok(())
}

/// The host that a request is for. That there is at most one `Host` was seen
/// to before the request was read as one.
fn host<B>(request: &Request<B>) -> Result<Host, Page> {
    if *request.method() == Method::CONNECT {
        return Err(Page::BadRequest("CONNECT asks for a tunnel, and there are none here."));
    }
    let mut named = request.headers().get_all(header::HOST).iter();
    let (Some(named), None) = (named.next(), named.next()) else {
        return Err(Page::BadRequest("It must have exactly one Host header."));
    };
    let host: Host = named
        .to_str()
        .ok()
        .and_then(|named| named.parse().ok())
        .ok_or(Page::BadRequest("Its Host header is not a hostname with an optional port."))?;
    if let Some(authority) = request.uri().authority() {
        // The target outranks the header (RFC 9112, 3.2.2). Where the two differ,
        // somebody is meant to be misled.
        if authority.as_str().parse::<Host>().ok().as_ref() != Some(&host) {
            return Err(Page::BadRequest("Its target and its Host header name different hosts."));
        }
        if !matches!(request.uri().scheme_str(), Some("http" | "https")) {
            return Err(Page::BadRequest("Its target must be a path, or an address that begins with http:."));
        }
    } else if !request.uri().path().starts_with('/') {
        return Err(Page::BadRequest("Its target must be a path."));
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_decides() {
        for (target, hosts, expected) in [
            ("/web", &["acme.localhost"][..], Some("acme.localhost")),
            ("/web?db=globex", &["Acme.Localhost:8080"], Some("acme.localhost:8080")),
            ("http://acme.localhost/web", &["acme.localhost."], Some("acme.localhost")),
            ("http://acme.localhost:80/web", &["acme.localhost:80"], Some("acme.localhost:80")),
            ("http://globex.localhost/web", &["acme.localhost"], None),
            ("http://acme.localhost:81/web", &["acme.localhost:80"], None),
            ("http://globex@acme.localhost/web", &["acme.localhost"], None),
            ("http://acme.localhost@globex/web", &["acme.localhost"], None),
            ("ftp://acme.localhost/web", &["acme.localhost"], None),
            ("http://acme.localhost/web", &[], None),
            ("/web", &[], None),
            ("/web", &[""], None),
            ("/web", &["acme.localhost", "acme.localhost"], None),
            ("/web", &["acme.localhost, globex.localhost"], None),
            ("/web", &["acme.localhost/globex"], None),
            ("/web", &["globex@acme.localhost"], None),
            ("/web", &["acme.localhost:x"], None),
            ("*", &["acme.localhost"], None),
            ("acme.localhost", &["acme.localhost"], None),
        ] {
            let mut request = Request::builder().uri(target);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            let found = host(&request.body(()).unwrap());
            assert_eq!(found.ok().map(|host| host.to_string()).as_deref(), expected, "{target} {hosts:?}");
        }
    }

    #[test]
    fn connect_is_refused() {
        let request = Request::connect("acme.localhost:80").header(header::HOST, "acme.localhost:80");
        assert!(matches!(host(&request.body(()).unwrap()), Err(Page::BadRequest(_))));
    }
}

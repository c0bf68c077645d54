//! What every request goes through: its id, its problems, its headers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use uuid::Uuid;

use crate::console;
use crate::failure::{Answer, Failure};

/// The request's id, for whoever handles it.
#[derive(Clone)]
pub(crate) struct RequestId(pub String);

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Only the console's own files may run, style or be loaded.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Longer addresses are refused.
const LONGEST_ADDRESS: usize = 8 << 10;

/// Names and values of all headers; hyper itself ends a connection at some 400 KiB.
const LARGEST_HEADERS: usize = 16 << 10;

/// What no handler is asked about.
fn bounds(request: &Request) -> Answer<()> {
    let address = request.uri().path_and_query().map_or("", |address| address.as_str());
    if address.len() > LONGEST_ADDRESS {
        return Err(Failure::new(StatusCode::URI_TOO_LONG, "too-large", "the address is longer than 8 KiB")
            .hint("Filters belong into the query, and everything else into the body."));
    }
    let headers: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers > LARGEST_HEADERS {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Failure::new(status, "too-large", "the headers are larger than 16 KiB")
            .hint("Send fewer or shorter headers and cookies."));
    }
    // PostgreSQL's texts cannot hold it.
    if address.contains("%00") {
        return Err(Failure::invalid("the address holds a NUL character").hint("Leave out %00."));
    }
    Ok(())
}

/// Gives the request an id and turns what came of it into a finished response.
pub(crate) async fn finish(mut request: Request, next: Next) -> Response {
    // Never taken from the client: an id stands for one request in the log.
    let id = Uuid::now_v7().to_string();
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = match bounds(&request) {
        Err(refused) => refused.into_response(),
        Ok(()) => match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(_) => Failure::ours("the handler panicked").into_response(),
        },
    };
    if let Some(failure) = response.extensions_mut().remove::<Arc<Failure>>() {
        if let Some(cause) = &failure.cause {
            tracing::error!(request_id = %id, %method, path = uri.path(), cause = %chain(cause.as_ref()), "request failed");
        }
        response = write(response, &failure, &id, &uri);
    }
    tracing::debug!(request_id = %id, %method, path = uri.path(), status = response.status().as_u16(), "answered");
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, HeaderValue::from_str(&id).expect("a UUID is a header value"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn write(marked: Response, failure: &Failure, id: &str, uri: &Uri) -> Response {
    let body = if speaks_json(uri.path()) {
        let problem = serde_json::to_string(&failure.problem(id.to_owned()));
        ([(CONTENT_TYPE, "application/problem+json")], problem.unwrap_or_default()).into_response()
    } else {
        console::error_page(failure, id)
    };
    let (mut head, _) = marked.into_parts();
    let (written, body) = body.into_parts();
    head.headers.extend(written.headers);
    Response::from_parts(head, body)
}

fn speaks_json(path: &str) -> bool {
    ["/api", "/internal"]
        .iter()
        .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

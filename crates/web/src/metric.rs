//! `/metrics`, and what is counted of requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{CONTENT_TYPE, FORWARDED};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::WebState;
use crate::extract::{address, bearer, from_platform, request_id};
use crate::failure::{Answer, Failure};

const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Up to the longest wait of a long poll.
const DURATIONS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A route is its template, never a path that somebody chose.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Routed {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

/// What was counted of requests. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Answered, Counter>,
    durations: Family<Routed, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("heddle_http");
        let requests = Family::default();
        registry.register("requests", "Requests, by the route that took them", requests.clone());
        let histogram: fn() -> Histogram = || Histogram::new(DURATIONS);
        let durations = Family::new_with_constructor(histogram);
        registry.register("request_duration_seconds", "Until the answer began", durations.clone());
        Self { registry: Arc::new(registry), requests, durations }
    }
}

impl Metrics {
    fn count(&self, method: &Method, route: Option<MatchedPath>, status: StatusCode, took: Duration) {
        let method = known(method);
        let route = route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());
        let routed = Routed { method, route: route.clone() };
        self.durations.get_or_create(&routed).observe(took.as_secs_f64());
        self.requests.get_or_create(&Answered { method, route, status: status.as_u16() }).inc();
    }
}

/// Clients may name methods that nobody knows.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Counts each request, whatever becomes of it.
pub(crate) async fn count(State(state): State<WebState>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    state.metrics.count(&method, route, response.status(), began.elapsed());
    response
}

/// What control and this server have counted, in the text format of OpenMetrics.
pub(crate) async fn show(State(state): State<WebState>, request: Request) -> Answer<Response> {
    let (parts, _) = request.into_parts();
    admit(&state, &parts).await?;
    let mut text = state.control.metrics_text().await?;
    encode_registry(&mut text, &state.metrics.registry)
        .and_then(|()| encode_eof(&mut text))
        .map_err(Failure::ours)?;
    Ok(([(CONTENT_TYPE, TYPE)], text).into_response())
}

/// The platform's key, an operator's key that may read or, where that is set,
/// anybody on this machine.
async fn admit(state: &WebState, parts: &Parts) -> Answer<()> {
    if from_platform(parts, state) || (state.metrics_on_loopback && is_near(parts)) {
        return Ok(());
    }
    let Some(key) = bearer(parts) else {
        return Err(Failure::unauthenticated("metrics are shown to those with a key").hint(
            "Send the header Authorization: Bearer hk_… with an operator's key, \
             or set metrics_loopback to show them to everybody on this machine.",
        ));
    };
    let principal = state.control.verify_api_key(key).await?.from(address(parts), request_id(parts));
    if state.control.acting_as(&principal).may_watch().await? {
        return Ok(());
    }
    Err(Failure::new(
        StatusCode::FORBIDDEN,
        control::Kind::Forbidden.as_str(),
        "the key is not an operator's",
    )
    .hint("Metrics are of the whole installation: they are shown to its operators."))
}

/// Whether it comes from this machine, and from no proxy on it.
fn is_near(parts: &Parts) -> bool {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback())
        && !parts.headers.contains_key(FORWARDED)
        && !parts.headers.contains_key(FORWARDED_FOR)
}

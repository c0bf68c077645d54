//! The REST API, what workers and routers say to control, and the console.
//!
//! Thin: a handler extracts, calls one operation of control and returns a
//! view. Nothing in here reaches SQL.

#[allow(unused_qualifications, reason = "utoipa's macros write whole paths")]
mod api;
mod console;
mod etag;
mod extract;
mod failure;
mod internal;
mod limit;
mod live;
mod metric;
mod refusal;
mod request;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::get;
use axum::{Extension, Router, middleware};
use control::Control;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::failure::Failure;

pub use api::openapi_json;
pub use limit::Rate;
pub use metric::Metrics;

/// Requests with more than this are refused before they are read.
const LARGEST_BODY: usize = 1 << 20;

/// Connections that are still busy this long after the shutdown began are
/// dropped: long polls and browsers ask again.
const DRAIN: Duration = Duration::from_secs(3);

/// Of one key or session, unless something else is set.
const REQUESTS_PER_SECOND: u32 = 100;

/// What the handlers work with.
#[derive(Clone)]
pub struct WebState {
    pub control: Control,
    /// The bearer key of `/internal`.
    pub platform_key: Arc<str>,
    /// Marks the console's cookies `Secure`: set where visitors reach it only over TLS.
    pub secure_cookies: bool,
    /// Shows `/metrics` to everybody on this machine, tenants' Odoos included.
    pub metrics_on_loopback: bool,
    /// What was counted of requests.
    pub metrics: Metrics,
    limiter: Arc<limit::Limiter>,
}

impl WebState {
    pub fn new(control: Control, platform_key: impl Into<Arc<str>>) -> Self {
        let limiter = Arc::new(limit::Limiter::new(Rate::per_second(REQUESTS_PER_SECOND), Rate::STRANGERS));
        Self {
            control,
            platform_key: platform_key.into(),
            secure_cookies: false,
            metrics_on_loopback: false,
            metrics: Metrics::default(),
            limiter,
        }
    }

    /// How many requests one key or session may make (None: any number), and
    /// an address that shows neither.
    #[must_use]
    pub fn limited(self, callers: Option<Rate>, strangers: Rate) -> Self {
        Self { limiter: Arc::new(limit::Limiter::new(callers, strangers)), ..self }
    }
}

pub fn router(state: WebState) -> Router {
    Router::new()
        .nest("/api/v1", api::router(&state))
        .nest("/internal", internal::router(&state))
        .route("/api/openapi.json", get(api::document))
        .route("/healthz", get(healthy))
        .route("/metrics", get(metric::show))
        .merge(console::router())
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn(request::finish))
        .layer(middleware::from_fn_with_state(state.clone(), metric::count))
        .with_state(state)
}

/// Serves until `shutdown` resolves, then ends live streams and drains.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (close, closing) = watch::channel(false);
    let mut drained = closing.clone();
    let service =
        router.layer(Extension(live::Closing(closing))).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service).with_graceful_shutdown(async move {
        shutdown.await;
        let _ = close.send(true);
    });
    tokio::select! {
        ended = async { served.await } => ended,
        () = async move {
            let _ = drained.wait_for(|closing| *closing).await;
            tokio::time::sleep(DRAIN).await;
        } => {
            tracing::info!("connections that were still busy were dropped");
            Ok(())
        }
    }
}

async fn healthy() -> &'static str {
    "ok\n"
}

async fn nothing_here(uri: Uri) -> Failure {
    Failure::not_found(format!("there is nothing at {}", uri.path()))
        .hint("/api/openapi.json lists the API's addresses.")
}

async fn wrong_method(method: Method, uri: Uri) -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong-method",
        format!("{} does not take {method}", uri.path()),
    )
    .hint("The header Allow says what it takes.")
}

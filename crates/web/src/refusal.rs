//! Writes down who was refused what is not theirs.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use crate::extract::Acting;
use crate::failure::Failure;

/// For the request that one path names: the first part of its address that is
/// not fixed says what it was about. What is not there for the caller may still
/// be there; control knows.
pub(crate) async fn record(
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let acting = request.extensions().get::<Acting>().cloned();
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let response = next.run(request).await;
    let refused = response
        .extensions()
        .get::<Arc<Failure>>()
        .is_some_and(|failure| matches!(failure.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN));
    if refused
        && let (Some(Acting(control)), Some(path)) = (acting, path)
        // An address that is no UTF-8 names nothing that could be there.
        && let Some((_, target)) = params.as_ref().ok().and_then(|params| params.iter().next())
        && let Err(error) = control.record_refusal(&format!("{method} {path}"), Some(target)).await
    {
        tracing::error!(%error, %method, path, "record a refusal");
    }
    response
}

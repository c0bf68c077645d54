//! Extractors that refuse with [`Failure`]s.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use control::{Asked, Control, Principal};
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;

use crate::WebState;
use crate::failure::Failure;
use crate::request::RequestId;

/// A JSON body.
pub(crate) struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<WebState> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Failure> {
        let axum::Json(body) = axum::Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// A form's fields.
pub(crate) struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest<WebState> for Form<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Failure> {
        let axum::Form(form) = axum::Form::from_request(request, state).await?;
        Ok(Self(form))
    }
}

/// The path's parameters.
pub(crate) struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<WebState> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Failure> {
        let axum::extract::Path(path) = axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(path))
    }
}

/// The query's parameters.
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<WebState> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Failure> {
        let axum::extract::Query(query) = axum::extract::Query::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

/// Control, bound to who calls the API, as [`authenticate`] found out.
#[derive(Clone)]
pub(crate) struct Acting(pub Control);

impl FromRequestParts<WebState> for Acting {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Result<Self, Failure> {
        extension(parts)
    }
}

/// What a layer around the handlers has left with the request.
fn extension<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<T, Failure> {
    let found = parts.extensions.get::<T>().cloned();
    found.ok_or_else(|| Failure::ours("the route stands outside the authentication layer"))
}

/// Lets only requests with a valid API key through.
pub(crate) async fn authenticate(
    State(state): State<WebState>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let (mut parts, body) = request.into_parts();
    let key = bearer(&parts).ok_or_else(|| {
        Failure::unauthenticated("the request has no API key")
            .hint("Send the header Authorization: Bearer hk_…")
    })?;
    let principal = state.control.verify_api_key(key).await?;
    let principal = principal.from(address(&parts), request_id(&parts));
    parts.extensions.insert(Acting(state.control.acting_as(&principal)));
    parts.extensions.insert(principal);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Where a request comes from, if it came over a socket.
pub(crate) fn address(parts: &Parts) -> Option<String> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_string())
}

pub(crate) fn request_id(parts: &Parts) -> Option<String> {
    parts.extensions.get::<RequestId>().map(|RequestId(id)| id.clone())
}

/// The caller and the request's `Idempotency-Key`.
pub(crate) struct Asks(pub Asked);

impl FromRequestParts<WebState> for Asks {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Result<Self, Failure> {
        let asked = Asked::by(extension::<Principal>(parts)?.requester);
        let Some(key) = parts.headers.get("idempotency-key") else {
            return Ok(Self(asked));
        };
        let key = key.to_str().ok().filter(|key| (1..=200).contains(&key.len())).ok_or_else(|| {
            Failure::invalid("the Idempotency-Key must be 1 to 200 visible ASCII characters")
        })?;
        Ok(Self(asked.once(key)))
    }
}

/// Whether the request carries the platform's own key.
pub(crate) fn from_platform(parts: &Parts, state: &WebState) -> bool {
    bearer(parts).is_some_and(|key| state.platform_key.as_bytes().ct_eq(key.as_bytes()).into())
}

fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, key) = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

/// Where the request comes from, as far as it can be told.
pub(crate) struct Address(pub String);

impl FromRequestParts<WebState> for Address {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Result<Self, Failure> {
        Ok(Self(address(parts).unwrap_or_else(|| "unknown".into())))
    }
}

//! Extractors that refuse with [`Failure`]s.

use std::net::{IpAddr, SocketAddr};

use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use control::{Asked, Control, Principal};
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;

use crate::WebState;
use crate::failure::{Failure, innermost};
use crate::limit::Who;
use crate::request::RequestId;

/// A JSON body.
pub(crate) struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<WebState> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await?;
        // PostgreSQL's texts cannot hold it.
        if names_nul(&bytes) {
            return Err(Failure::invalid("the body holds a NUL character").hint("Leave out \\u0000."));
        }
        // Serde would read an array as the fields in their order.
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(Failure::unfit("it must be an object"));
        }
        let request = Request::from_parts(parts, Body::from(bytes.clone()));
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            // Serde calls it a fault of the syntax that null is no word.
            Err(JsonRejection::JsonSyntaxError(fault))
                if serde_json::from_slice::<serde_json::Value>(&bytes).is_ok() =>
            {
                Err(Failure::unfit(innermost(&fault)))
            }
            Err(rejection) => Err(rejection.into()),
        }
    }
}

/// Whether a JSON text has the escape of a NUL in it, itself not escaped.
fn names_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        if rest[at + 1..].starts_with(b"u0000") {
            return true;
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
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
    let verified = match bearer(&parts) {
        Some(key) => state.control.verify_api_key(key).await.map_err(Failure::from),
        None => Err(Failure::unauthenticated("the request has no API key")
            .hint("Send the header Authorization: Bearer hk_…")),
    };
    let principal = match verified {
        Ok(principal) => principal.from(address(&parts), request_id(&parts)),
        Err(failure) if failure.status == StatusCode::UNAUTHORIZED => {
            // Whoever shares the address and has a good key is not kept out.
            state.limiter.take(Who::at(peer(&parts)))?;
            return Err(failure);
        }
        Err(failure) => return Err(failure),
    };
    state.limiter.take(Who::Caller(principal.requester))?;
    parts.extensions.insert(Acting(state.control.acting_as(&principal)));
    parts.extensions.insert(principal);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Where a request comes from, if it came over a socket.
pub(crate) fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}

pub(crate) fn address(parts: &Parts) -> Option<String> {
    peer(parts).map(|address| address.to_string())
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
        let key = key
            .to_str()
            .ok()
            .filter(|key| (1..=200).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
        let key = key.ok_or_else(|| {
            Failure::invalid("the Idempotency-Key must be 1 to 200 visible ASCII characters, without spaces")
                .hint("A UUID of your own is a good one.")
        })?;
        Ok(Self(asked.once(key)))
    }
}

/// Whether the request carries the platform's own key.
pub(crate) fn from_platform(parts: &Parts, state: &WebState) -> bool {
    bearer(parts).is_some_and(|key| state.platform_key.as_bytes().ct_eq(key.as_bytes()).into())
}

pub(crate) fn bearer(parts: &Parts) -> Option<&str> {
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

#[cfg(test)]
mod tests {
    use super::names_nul;

    #[test]
    fn only_an_escape_is_a_nul() {
        assert!(names_nul(br#"{"a":"b\u0000"}"#));
        assert!(names_nul(br#"{"a":"\\\u0000"}"#));
        for harmless in
            [&br#"{"a":"\\u0000"}"#[..], br#"{"a":"u0000"}"#, br#"{"a":"\u00001"#.get(..5).unwrap(), b"\\"]
        {
            assert!(!names_nul(harmless), "{}", String::from_utf8_lossy(harmless));
        }
    }
}

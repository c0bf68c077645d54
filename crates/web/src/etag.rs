//! Versions of what people edit, as HTTP has them: `ETag` in answers, `If-Match`
//! and `If-None-Match` in requests.

use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::WebState;
use crate::failure::{Answer, Failure};

/// The version that the request is about; None: whichever it is.
pub(crate) struct IfMatch(pub Option<i64>);

impl FromRequestParts<WebState> for IfMatch {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Answer<Self> {
        parts.headers.get(IF_MATCH).map_or(Ok(None), condition).map(Self)
    }
}

/// The version that the request changes, where a change must say it. None:
/// whichever it is, which takes an explicit `*`.
pub(crate) struct Edits(pub Option<i64>);

impl FromRequestParts<WebState> for Edits {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Answer<Self> {
        let Some(given) = parts.headers.get(IF_MATCH) else {
            let status = StatusCode::PRECONDITION_REQUIRED;
            let detail = "the request does not say which version it changes";
            return Err(Failure::new(status, "unconditional", detail)
                .hint("Read it first and send its ETag as If-Match; * changes whatever is there."));
        };
        condition(given).map(Self)
    }
}

/// `"7"`, the whole ETag `"7.1f…"`, or `*`.
fn condition(given: &HeaderValue) -> Answer<Option<i64>> {
    let refused = || {
        Failure::invalid("the If-Match is no version")
            .hint("Send the ETag of the answer that the edit is of, with its quotes, such as \"3\"; or *.")
    };
    let given = given.to_str().map_err(|_| refused())?.trim();
    if given == "*" {
        return Ok(None);
    }
    let tag = given.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(refused)?;
    let (version, digest) = tag.split_once('.').unwrap_or((tag, "0"));
    let digits = (1..=18).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_digit());
    let hex = (1..=64).contains(&digest.len())
        && digest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !(digits && hex) {
        return Err(refused());
    }
    version.parse().map(Some).map_err(|_| refused())
}

/// The request's `If-None-Match`.
pub(crate) struct Seen(Option<HeaderValue>);

impl FromRequestParts<WebState> for Seen {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Answer<Self> {
        Ok(Self(parts.headers.get(IF_NONE_MATCH).cloned()))
    }
}

impl Seen {
    /// JSON of this version, or 304 where the caller has it already.
    pub fn answer(&self, version: i64, thing: &impl Serialize) -> Answer<Response> {
        let (tag, body) = tagged(version, thing)?;
        let seen = self.0.as_ref().and_then(|seen| seen.to_str().ok()).unwrap_or_default();
        let known = seen.split(',').map(|seen| seen.trim().trim_start_matches("W/"));
        if known.into_iter().any(|known| known == "*" || known == tag) {
            return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag), revalidated()]).into_response());
        }
        Ok(whole(tag, body))
    }
}

/// JSON of this version.
pub(crate) struct Versioned<T>(pub i64, pub T);

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        match tagged(self.0, &self.1) {
            Ok((tag, body)) => whole(tag, body),
            Err(failure) => failure.into_response(),
        }
    }
}

/// The version, and a digest of the whole: much of what is shown of a thing
/// changes without anybody editing it.
fn tagged(version: i64, thing: &impl Serialize) -> Answer<(String, String)> {
    let body = serde_json::to_string(thing).map_err(Failure::ours)?;
    let digest = hex::encode(&Sha256::digest(&body)[..8]);
    Ok((format!("\"{version}.{digest}\""), body))
}

fn whole(tag: String, body: String) -> Response {
    let json = (CONTENT_TYPE, "application/json".to_owned());
    ([json, (ETAG, tag), revalidated()], body).into_response()
}

/// May be kept, but not used without asking whether it is still so.
fn revalidated() -> (HeaderName, String) {
    (CACHE_CONTROL, "private, no-cache".to_owned())
}

//! ETags, and requests that say which version they read or change.

use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::api::{Environment, Tenant};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::WebState;
use crate::failure::{Answer, Failure};

/// What people edit.
pub(crate) trait Versioned: Serialize {
    fn version(&self) -> i64;
}

impl Versioned for Environment {
    fn version(&self) -> i64 {
        self.version
    }
}

impl Versioned for Tenant {
    fn version(&self) -> i64 {
        self.version
    }
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
    /// The thing, or 304 where the caller has it already.
    pub fn answer(&self, thing: &impl Versioned) -> Answer<Response> {
        let (tag, body) = tagged(thing)?;
        let known = self.0.as_ref().and_then(|seen| seen.to_str().ok());
        let known = known.is_some_and(|seen| {
            let bare = |seen: &str| seen.trim().trim_start_matches("W/").to_owned();
            seen.split(',').any(|seen| matches!(bare(seen).as_str(), "*") || bare(seen) == tag)
        });
        Ok(match known {
            true => (StatusCode::NOT_MODIFIED, [(ETAG, tag), revalidated()]).into_response(),
            false => whole(tag, body),
        })
    }
}

/// The version that a change is meant for.
pub(crate) struct Edits {
    /// None: whatever it is, which takes an explicit `*`.
    pub version: Option<i64>,
}

impl FromRequestParts<WebState> for Edits {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Answer<Self> {
        let Some(condition) = parts.headers.get(IF_MATCH) else {
            let status = StatusCode::PRECONDITION_REQUIRED;
            return Err(Failure::new(
                status,
                "unconditional",
                "the request does not say which version it changes",
            )
            .hint("Read it first and send its ETag as If-Match; * changes whatever is there."));
        };
        let refused = || {
            Failure::invalid("If-Match must be one ETag as it was sent, such as \"7\", or *")
                .hint("Send the ETag of the answer that you have read, with its quotes.")
        };
        let condition = condition.to_str().map_err(|_| refused())?.trim();
        if condition == "*" {
            return Ok(Self { version: None });
        }
        let tag = condition.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or_else(refused)?;
        let (version, digest) = tag.split_once('.').unwrap_or((tag, "0"));
        let digits = (1..=18).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_digit());
        let hexadecimal =
            (1..=64).contains(&digest.len()) && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits || !hexadecimal {
            return Err(refused());
        }
        Ok(Self { version: Some(version.parse().map_err(|_| refused())?) })
    }
}

/// The thing as it has become.
pub(crate) fn changed(thing: &impl Versioned) -> Answer<Response> {
    let (tag, body) = tagged(thing)?;
    Ok(whole(tag, body))
}

/// The version, and a digest of the whole: much of what is shown of a thing
/// changes without anybody editing it.
fn tagged(thing: &impl Versioned) -> Answer<(String, String)> {
    let body = serde_json::to_string(thing).map_err(Failure::ours)?;
    let digest = hex::encode(&Sha256::digest(&body)[..8]);
    Ok((format!("\"{}.{digest}\"", thing.version()), body))
}

fn whole(tag: String, body: String) -> Response {
    let json = (CONTENT_TYPE, "application/json".to_owned());
    ([json, (ETAG, tag), revalidated()], body).into_response()
}

fn revalidated() -> (axum::http::HeaderName, String) {
    (CACHE_CONTROL, "private, no-cache".to_owned())
}

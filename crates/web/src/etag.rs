//! Versions of what people edit, as HTTP has them: `ETag` in answers, `If-Match`
//! in requests.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::WebState;
use crate::failure::Failure;

/// The version that the request is about; None: whichever it is.
pub(crate) struct IfMatch(pub Option<i64>);

impl FromRequestParts<WebState> for IfMatch {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Result<Self, Failure> {
        let Some(given) = parts.headers.get(IF_MATCH) else { return Ok(Self(None)) };
        let given = given.to_str().unwrap_or_default().trim();
        if given == "*" {
            return Ok(Self(None));
        }
        let version = given.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match version.and_then(|version| version.parse::<u32>().ok()) {
            Some(version) => Ok(Self(Some(version.into()))),
            None => Err(Failure::invalid("the If-Match is no version")
                .hint("Send the ETag of the answer that the edit is of, such as \"3\".")),
        }
    }
}

/// JSON of this version.
pub(crate) struct Versioned<T>(pub i64, pub T);

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        ([(ETAG, format!("\"{}\"", self.0))], Json(self.1)).into_response()
    }
}

//! What a request ends with when it cannot be answered.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{BytesRejection, FormRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control::Kind;
use protocol::api::Problem;

/// A refused or failed request. As a response it is only a mark: the request
/// layer writes it out as a problem document or an error page, with the
/// request's id, and logs the cause where the fault is ours.
#[derive(Debug)]
pub(crate) struct Failure {
    pub status: StatusCode,
    /// A stable word for clients.
    pub kind: &'static str,
    pub detail: String,
    pub hint: Option<String>,
    /// When it makes sense to try again, where that is known.
    pub retry_after: Option<Duration>,
    /// Set where the fault is ours; goes to the log and to nobody else.
    pub cause: Option<Box<dyn StdError + Send + Sync>>,
}

pub(crate) type Answer<T> = Result<T, Failure>;

impl Failure {
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), hint: None, retry_after: None, cause: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Kind::Invalid.as_str(), detail)
    }

    /// A body that is JSON, and not what is asked for.
    pub fn unfit(why: impl std::fmt::Display) -> Self {
        let detail = format!("the body does not fit: {why}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, Kind::Invalid.as_str(), detail)
            .hint("docs/reference/openapi.json describes every request's body.")
    }

    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Kind::Unauthenticated.as_str(), detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Kind::NotFound.as_str(), detail)
    }

    /// Our own fault: the client learns the request's id and nothing else.
    pub fn ours(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            kind: "internal",
            detail: "Heddle failed to do this. Nothing is known to be wrong with the request.".into(),
            hint: Some("Control's log names the cause beside this request id.".into()),
            retry_after: None,
            cause: Some(cause.into()),
        }
    }

    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub fn problem(&self, request_id: String) -> Problem {
        Problem {
            kind: self.kind.into(),
            title: self.title().into(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            hint: self.hint.clone().or_else(|| self.usual_hint().map(str::to_owned)),
            request_id,
        }
    }

    /// What to do where nothing better is known.
    fn usual_hint(&self) -> Option<&'static str> {
        Some(match self.kind {
            "invalid" => "docs/reference/openapi.json says what a good request looks like.",
            "unauthenticated" => "Sign in, or send a key that is valid.",
            "forbidden" => "An owner or admin of the project gives permissions.",
            "not-found" => "The lists show what there is.",
            "taken" => "Choose another name.",
            "wrong-state" => "Look at it again: its state says what can be done with it now.",
            "changed" => "Read it again, and change it if that is still what you want.",
            "stale" => "Another lease holds it: give it up.",
            "key-reused" => "Use a new key for each new request.",
            "too-many" => "Wait a little, and try again.",
            "unavailable" => "Try again in a little while.",
            _ => return None,
        })
    }

    pub fn title(&self) -> &'static str {
        match self.kind {
            "invalid" => "The request is not valid",
            "unauthenticated" => "Not signed in",
            "forbidden" => "Not allowed",
            "not-found" => "Not found",
            "needs-approval" => "Waits for an approval",
            "taken" => "Already taken",
            "wrong-state" => "Not possible in its present state",
            "changed" => "Changed meanwhile",
            "unconditional" => "Which version?",
            "stale" => "Out of date",
            "key-reused" => "Idempotency key used before",
            "too-many" => "Too many attempts",
            "unavailable" => "Not available right now",
            "too-large" => "Too large",
            "internal" => "Something went wrong",
            _ => self.status.canonical_reason().unwrap_or("Refused"),
        }
    }
}

impl From<control::Error> for Failure {
    fn from(error: control::Error) -> Self {
        match error {
            control::Error::Refused(refusal) => Self {
                status: StatusCode::from_u16(refusal.kind.status()).unwrap_or(StatusCode::BAD_REQUEST),
                kind: refusal.kind.as_str(),
                detail: refusal.detail,
                hint: refusal.hint,
                retry_after: refusal.retry_after,
                cause: None,
            },
            ours => Self::ours(ours),
        }
    }
}

impl From<askama::Error> for Failure {
    fn from(error: askama::Error) -> Self {
        Self::ours(error)
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        match rejection.status() {
            StatusCode::BAD_REQUEST => Self::not_found("there is nothing with such an id")
                .hint("Ids are UUIDs, as the lists show them."),
            _ => Self::ours(rejection),
        }
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(format!("the query cannot be read: {}", innermost(&rejection)))
            .hint("docs/reference/openapi.json describes every parameter.")
    }
}

impl From<FormRejection> for Failure {
    fn from(rejection: FormRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => Self::invalid(format!("the form cannot be read: {}", innermost(&rejection))),
        }
    }
}

impl From<BytesRejection> for Failure {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => Self::invalid(format!("the body cannot be read: {}", innermost(&rejection))),
        }
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::MissingJsonContentType(_) => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Kind::Invalid.as_str(), "the body must be JSON")
                    .hint("Send the header Content-Type: application/json.")
            }
            JsonRejection::JsonSyntaxError(error) => {
                Self::invalid(format!("the body is no valid JSON: {}", innermost(&error)))
                    .hint("docs/reference/openapi.json describes every request's body.")
            }
            JsonRejection::JsonDataError(error) => Self::unfit(innermost(&error)),
            other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            other => Self::invalid(format!("the body cannot be read: {}", innermost(&other))),
        }
    }
}

/// Whole ones, so that it is not too early.
pub(crate) fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from((wait.as_secs_f64().ceil() as u64).max(1))
}

fn too_large() -> Failure {
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is larger than 1 MiB")
        .hint("Nothing that Heddle takes needs so much: send less.")
}

/// The extractors' own texts only repeat what their source says better.
pub(crate) fn innermost(error: &dyn StdError) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds(wait));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

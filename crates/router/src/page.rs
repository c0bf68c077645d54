//! What visitors see where no Odoo answers them.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use model::route::{Host, Refusal};

use crate::body::{Answer, BodyFault};

/// An answer of the router's own. None of them names a tenant: a visitor
/// learns no more than the hostname it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// The request cannot be understood in one way only; says which rule it breaks.
    BadRequest(&'static str),
    /// A method that no Odoo answers.
    Method,
    Expectation,
    Body(BodyFault),
    UnknownHost,
    /// The router has no table yet.
    NoTable,
    Refused(Refusal),
    /// The tenant's Odoo should serve, and did not.
    UpstreamFailed,
}

struct Text {
    status: StatusCode,
    /// A stable word for programs.
    kind: &'static str,
    title: &'static str,
    words: &'static str,
    /// Seconds after which asking again makes sense.
    retry: Option<u32>,
    /// A browser asks again by itself.
    refresh: bool,
}

impl Page {
    fn text(self) -> Text {
        let text =
            |status, kind, title, words| Text { status, kind, title, words, retry: None, refresh: false };
        let retry = |seconds, text| Text { retry: Some(seconds), ..text };
        let refresh = |seconds, text| Text { retry: Some(seconds), refresh: true, ..text };
        match self {
            Self::BadRequest(why) => {
                text(StatusCode::BAD_REQUEST, "bad-request", "This request cannot be understood", why)
            }
            Self::Method => text(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "This method is not allowed",
                "Ask again with another one, such as GET or POST.",
            ),
            Self::Expectation => text(
                StatusCode::EXPECTATION_FAILED,
                "expectation-failed",
                "This expectation cannot be met",
                "The only one that can is 100-continue.",
            ),
            Self::Body(BodyFault::TooLarge) => text(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "This is too large to be taken",
                "What was sent is larger than one request may be. Send it in smaller parts.",
            ),
            Self::Body(BodyFault::Broken) => text(
                StatusCode::BAD_REQUEST,
                "bad-body",
                "This request was broken off",
                "What was sent is malformed, or did not arrive whole.",
            ),
            Self::UnknownHost => text(
                StatusCode::NOT_FOUND,
                "unknown-host",
                "Nothing is served at this address",
                "Check the address for a typing error, or ask whoever gave it to you.",
            ),
            Self::NoTable => refresh(
                3,
                text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "platform-starting",
                    "One moment, we are starting",
                    "This page asks again by itself.",
                ),
            ),
            Self::Refused(Refusal::DatabaseManager) => text(
                StatusCode::FORBIDDEN,
                "database-manager-closed",
                "The database manager is closed",
                "Databases are made, copied and given back by whoever hosts this Odoo, not through it.",
            ),
            Self::Refused(Refusal::Preparing) => refresh(
                10,
                text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "tenant-preparing",
                    "This Odoo is being prepared",
                    "It opens here as soon as it is ready. This page asks again by itself.",
                ),
            ),
            Self::Refused(Refusal::Starting) => refresh(
                3,
                text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "tenant-starting",
                    "This Odoo is starting",
                    "It will be here in a moment. This page asks again by itself.",
                ),
            ),
            Self::Refused(Refusal::Unavailable) => refresh(
                15,
                text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "tenant-unavailable",
                    "This Odoo is out of order",
                    "It does not stay up, and is started again and again. If this lasts, tell whoever hosts it.",
                ),
            ),
            Self::Refused(Refusal::Suspended) => retry(
                3600,
                text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "tenant-suspended",
                    "This Odoo is suspended",
                    "It has been put on hold. Nothing in it is lost. Whoever hosts it can resume it.",
                ),
            ),
            Self::Refused(Refusal::Archived) => text(
                StatusCode::GONE,
                "tenant-archived",
                "This Odoo has been closed",
                "It is no longer in service. Whoever hosted it knows what became of its data.",
            ),
            Self::UpstreamFailed => retry(
                5,
                text(
                    StatusCode::BAD_GATEWAY,
                    "upstream-failed",
                    "This Odoo did not answer",
                    "It may be busy or on its way back up. Try again in a moment.",
                ),
            ),
        }
    }

    /// The answer, as JSON or as a page that shows `host`.
    pub(crate) fn answer(self, host: Option<&Host>, json: bool) -> Response<Answer> {
        let text = self.text();
        let (kind, body) = if json {
            ("application/json", text.json())
        } else {
            ("text/html; charset=utf-8", text.html(host))
        };
        let mut response = Response::new(Answer::Own(Full::new(Bytes::from(body))));
        *response.status_mut() = text.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("accept, content-type"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"),
        );
        if let Some(seconds) = text.retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            if text.refresh {
                headers.insert(header::REFRESH, HeaderValue::from(seconds));
            }
        }
        if self == Self::Method {
            let allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

impl Text {
    fn json(&self) -> String {
        serde_json::json!({
            "type": self.kind,
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.words,
            "retry_after": self.retry,
        })
        .to_string()
    }

    /// Hosts are plain ASCII without markup; see [`Host`].
    fn html(&self, host: Option<&Host>) -> String {
        include_str!("page.html")
            .replace("{class}", if self.refresh { " class=\"waiting\"" } else { "" })
            .replace("{title}", self.title)
            .replace("{words}", self.words)
            .replace("{status}", self.status.as_str())
            .replace("{host}", host.map_or("", Host::name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Page] = &[
        Page::BadRequest("Why."),
        Page::Method,
        Page::Expectation,
        Page::Body(BodyFault::TooLarge),
        Page::Body(BodyFault::Broken),
        Page::UnknownHost,
        Page::NoTable,
        Page::Refused(Refusal::DatabaseManager),
        Page::Refused(Refusal::Preparing),
        Page::Refused(Refusal::Starting),
        Page::Refused(Refusal::Unavailable),
        Page::Refused(Refusal::Suspended),
        Page::Refused(Refusal::Archived),
        Page::UpstreamFailed,
    ];

    #[test]
    fn pages_are_whole_and_load_nothing() {
        let host: Host = "acme.localhost:80".parse().unwrap();
        for page in ALL {
            let html = page.text().html(Some(&host));
            assert!(html.contains("acme.localhost"), "{page:?}");
            for foreign in [
                "{title}", "{words}", "{host}", "{status}", "{class}", "http:", "https:", "src=", "<script",
                "url(",
            ] {
                assert!(!html.contains(foreign), "{page:?}: {foreign}");
            }
        }
    }

    #[test]
    fn every_answer_is_an_error_that_is_not_kept() {
        for page in ALL {
            for json in [false, true] {
                let answer = page.answer(None, json);
                assert!(answer.status().as_u16() >= 400);
                assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
                let retries = matches!(answer.status().as_u16(), 502 | 503);
                assert_eq!(answer.headers().contains_key(header::RETRY_AFTER), retries, "{page:?}");
            }
        }
    }
}

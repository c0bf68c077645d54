//! Signing in and out, and what every console request is checked for.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use askama::Template;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request, State};
use axum::http::header::{ACCEPT, COOKIE, HOST, ORIGIN, RETRY_AFTER, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use control::{Control, Kind, Principal, Requester, Session};
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;

use super::nav::Counts;
use super::{Frame, Notice, html_with};
use crate::WebState;
use crate::extract::{Form, address, peer, request_id};
use crate::failure::{Answer, Failure, seconds};
use crate::limit::Who;

const SESSION: &str = "heddle_session";
/// Ties the sign-in form, which has no session yet, to the browser it was sent to.
const DOOR: &str = "heddle_door";

/// A visitor who is signed in and has chosen a password. Others are sent to
/// where they can.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub session: Session,
    counts: Counts,
}

/// Refusing means sending somewhere else, or failing.
pub(crate) enum Turned {
    To(&'static str),
    /// A live stream cannot be redirected: it tells the page to leave.
    Live(&'static str),
    Failed(Failure),
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        match self {
            Self::To(path) => Redirect::to(path).into_response(),
            Self::Live(path) => {
                let leave = Event::default().event("leave").data(path);
                Sse::new(futures::stream::iter([Ok::<_, std::convert::Infallible>(leave)])).into_response()
            }
            Self::Failed(failure) => failure.into_response(),
        }
    }
}

impl From<Failure> for Turned {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

async fn session(headers: &HeaderMap, state: &WebState) -> Result<Option<(String, Session)>, Failure> {
    let Some(token) = cookie(headers, SESSION) else {
        return Ok(None);
    };
    match state.control.session(token).await {
        Ok(session) => Ok(Some((token.to_owned(), session))),
        Err(control::Error::Refused(refusal)) if refusal.kind == Kind::Unauthenticated => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl FromRequestParts<WebState> for Visitor {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Turned> {
        let live = parts.headers.get(ACCEPT).is_some_and(|accept| accept == "text/event-stream");
        let turn = if live { Turned::Live } else { Turned::To };
        // Looked up once for each request, whoever asks first.
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        match session(&parts.headers, state).await? {
            None => {
                state.limiter.take(Who::at(peer(parts)))?;
                Err(turn("/sign-in"))
            }
            Some((_, session)) if session.must_set_password => Err(turn("/password")),
            Some((_, session)) => {
                state.limiter.take(Who::Caller(Requester::User(session.user)))?;
                // A live stream has no navigation but its own.
                let counts = match live {
                    true => Counts::default(),
                    false => Counts::look(&acting(parts, state, &session), &session.login).await?,
                };
                let visitor = Self { session, counts };
                parts.extensions.insert(visitor.clone());
                Ok(visitor)
            }
        }
    }
}

fn acting(parts: &Parts, state: &WebState, session: &Session) -> Control {
    let principal = Principal::user(session.user).from(address(parts), request_id(parts));
    state.control.acting_as(&principal)
}

/// What handlers work with, bound to the visitor: the database lets them see
/// and do what they may.
pub(crate) struct Bound(pub WebState);

impl FromRequestParts<WebState> for Bound {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Turned> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        Ok(Self(WebState { control: acting(parts, state, &visitor.session), ..state.clone() }))
    }
}

/// A form sent by a visitor from a page of this console. Its fields are texts.
pub(crate) struct Posted<T> {
    pub session: Session,
    pub form: T,
    counts: Counts,
}

/// A form without fields of its own: a button.
#[derive(serde::Deserialize)]
pub(crate) struct Nothing {}

impl<T> Posted<T> {
    pub fn frame(&self, section: &'static str) -> Frame {
        Frame::new(&self.session, self.counts, section)
    }
}

impl<T: DeserializeOwned> FromRequest<WebState> for Posted<T> {
    type Rejection = Turned;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Turned> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        let form = checked(Request::from_parts(parts, body), state, &visitor.session.csrf).await?;
        Ok(Self { session: visitor.session, form, counts: visitor.counts })
    }
}

/// Reads a form whose `csrf` must be `expected`.
async fn checked<T: DeserializeOwned>(
    request: Request,
    state: &WebState,
    expected: &str,
) -> Result<T, Failure> {
    same_origin(request.headers())?;
    let Form(mut fields) = Form::<BTreeMap<String, serde_json::Value>>::from_request(request, state).await?;
    let sent = fields.remove("csrf");
    let sent = sent.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    if expected.is_empty() || !bool::from(expected.as_bytes().ct_eq(sent.as_bytes())) {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            Kind::Forbidden.as_str(),
            "this form is out of date: it was not sent from a page of your present session",
        )
        .hint("Open the page again and send the form from there."));
    }
    serde_json::from_value(serde_json::Value::from_iter(fields))
        .map_err(|error| Failure::invalid(format!("the form does not fit: {error}")))
}

/// Browsers say where a form comes from; a page of another origin is refused
/// even if it knew the token.
fn same_origin(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let Some(origin) = text(ORIGIN) else {
        return Ok(());
    };
    let host = origin.split_once("://").map(|(_, host)| host);
    if host.is_some() && host == text(HOST) {
        return Ok(());
    }
    Err(Failure::new(StatusCode::FORBIDDEN, Kind::Forbidden.as_str(), "this form was sent from another site"))
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value))
}

/// `value` None: the browser forgets it.
fn set_cookie(
    state: &WebState,
    name: &str,
    value: Option<&str>,
) -> AppendHeaders<[(axum::http::HeaderName, String); 1]> {
    let secure = if state.secure_cookies { "; Secure" } else { "" };
    let age = if value.is_some() { "" } else { "; Max-Age=0" };
    let value = value.unwrap_or_default();
    AppendHeaders([(SET_COOKIE, format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}"))])
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    csrf: String,
    login: String,
    notice: Option<Notice>,
}

/// `GET /sign-in`
pub(crate) async fn form(State(state): State<WebState>, headers: HeaderMap) -> Answer<Response> {
    if session(&headers, &state).await?.is_some() {
        return Ok(Redirect::to("/tenants").into_response());
    }
    door(&state, &headers, StatusCode::OK, String::new(), None)
}

fn door(
    state: &WebState,
    headers: &HeaderMap,
    status: StatusCode,
    login: String,
    notice: Option<Notice>,
) -> Answer<Response> {
    let csrf = match cookie(headers, DOOR) {
        Some(known) if known.len() == 64 && known.bytes().all(|b| b.is_ascii_hexdigit()) => known.to_owned(),
        _ => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(Failure::ours)?;
            hex::encode(bytes)
        }
    };
    let cookie = set_cookie(state, DOOR, Some(&csrf));
    Ok((cookie, html_with(status, &SignInPage { csrf, login, notice })?).into_response())
}

#[derive(serde::Deserialize)]
struct SignIn {
    login: String,
    password: String,
}

/// `POST /sign-in`
pub(crate) async fn sign_in(State(state): State<WebState>, request: Request) -> Answer<Response> {
    let headers = request.headers().clone();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let address = peer.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
    state.limiter.take(Who::at(peer))?;
    let expected = cookie(&headers, DOOR).unwrap_or_default();
    let form: SignIn = match checked(request, &state, expected).await {
        Ok(form) => form,
        Err(failure) if failure.status == StatusCode::FORBIDDEN && expected.is_empty() => {
            let notice = Notice {
                detail: "Your browser did not keep the sign-in page's cookie.".into(),
                hint: Some("Allow cookies for this address and try again.".into()),
            };
            return door(&state, &headers, StatusCode::FORBIDDEN, String::new(), Some(notice));
        }
        Err(failure) => return Err(failure),
    };
    match state.control.sign_in(form.login.trim(), &form.password, &address).await {
        Ok(opened) => {
            let to = if opened.session.must_set_password { "/password" } else { "/tenants" };
            let kept = set_cookie(&state, SESSION, Some(&opened.token));
            let dropped = set_cookie(&state, DOOR, None);
            Ok((kept, dropped, Redirect::to(to)).into_response())
        }
        Err(error) => {
            let failure = Failure::from(error);
            let wait = failure.retry_after;
            let (status, notice) = Notice::of(failure)?;
            let mut page = door(&state, &headers, status, form.login, Some(notice))?;
            if let Some(wait) = wait {
                page.headers_mut().insert(RETRY_AFTER, seconds(wait));
            }
            Ok(page)
        }
    }
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    csrf: String,
    login: String,
    /// Signed in with a one-time password.
    first: bool,
    notice: Option<Notice>,
}

/// `GET /password`
pub(crate) async fn password_form(
    State(state): State<WebState>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let Some((_, session)) = session(&headers, &state).await? else {
        return Err(Turned::To("/sign-in"));
    };
    Ok(password_page(session, StatusCode::OK, None)?)
}

fn password_page(session: Session, status: StatusCode, notice: Option<Notice>) -> Answer<Response> {
    let page =
        PasswordPage { csrf: session.csrf, login: session.login, first: session.must_set_password, notice };
    html_with(status, &page)
}

#[derive(serde::Deserialize)]
struct NewPassword {
    password: String,
    again: String,
}

/// `POST /password`
pub(crate) async fn set_password(
    State(state): State<WebState>,
    request: Request,
) -> Result<Response, Turned> {
    let Some((token, session)) = session(request.headers(), &state).await? else {
        return Err(Turned::To("/sign-in"));
    };
    let form: NewPassword = checked(request, &state, &session.csrf).await?;
    if form.password != form.again {
        let notice = Notice { detail: "The two passwords differ.".into(), hint: None };
        return Ok(password_page(session, StatusCode::UNPROCESSABLE_ENTITY, Some(notice))?);
    }
    match state.control.set_password(&token, &form.password).await {
        Ok(_) => Ok(Redirect::to("/tenants").into_response()),
        Err(error) => {
            let (status, notice) = Notice::of(error.into())?;
            Ok(password_page(session, status, Some(notice))?)
        }
    }
}

/// `POST /sign-out`. Allowed to whoever has a session, whatever its state.
pub(crate) async fn sign_out(State(state): State<WebState>, request: Request) -> Result<Response, Turned> {
    if let Some((token, session)) = session(request.headers(), &state).await? {
        let _: BTreeMap<String, String> = checked(request, &state, &session.csrf).await?;
        state.control.sign_out(&token).await.map_err(Failure::from)?;
    }
    Ok((set_cookie(&state, SESSION, None), Redirect::to("/sign-in")).into_response())
}

impl Visitor {
    pub fn frame(&self, section: &'static str) -> Frame {
        Frame::new(&self.session, self.counts, section)
    }
}

//! Asks a tenant's Odoo.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use model::route::{PathKind, origin_target};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::body::{BodyFault, BodyWatch, Upload};
use crate::headers::{self, Origin};
use crate::page::Page;
use crate::table::{Tables, key_header};

const PAUSE: Duration = Duration::from_millis(25);
const PAUSE_MOST: Duration = Duration::from_millis(200);

/// How long the upstream may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For one connection.
    pub(crate) connect: Duration,
    /// For an upstream that should serve to be there, over all attempts.
    pub(crate) retry: Duration,
}

/// A request that may reach an Odoo.
pub(crate) struct Ask {
    /// Stripped of what clients may not say.
    pub(crate) parts: Parts,
    pub(crate) origin: Origin,
    pub(crate) path: PathKind,
    pub(crate) websocket: bool,
}

#[derive(Debug, thiserror::Error)]
enum UpstreamError {
    #[error("connect to {address}")]
    Connect {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("exchange a request with {address}")]
    Exchange {
        address: String,
        #[source]
        source: hyper::Error,
    },
}

impl UpstreamError {
    /// Nothing listens there, as while an Odoo is replaced by another.
    fn is_absence(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, NotFound};
        matches!(self, Self::Connect { source, .. }
            if matches!(source.kind(), ConnectionRefused | ConnectionReset | NotFound))
    }

    /// The upstream ended the connection before it began to answer.
    fn is_silence(&self) -> bool {
        let Self::Exchange { source, .. } = self else {
            return false;
        };
        let reset =
            source.source().and_then(|cause| cause.downcast_ref::<io::Error>()).is_some_and(|cause| {
                matches!(cause.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
            });
        source.is_incomplete_message() || source.is_canceled() || source.is_closed() || reset
    }
}

/// Asks the upstream that the table names for the request's host, looking into
/// the table again before every attempt.
///
/// A connection that could not be made is tried again, whatever the request.
/// One that ended before the answer is tried again only if asking twice is
/// harmless and there is no body to send.
pub(crate) async fn ask(
    tables: &Tables,
    ask: Ask,
    body: Option<(Incoming, u64)>,
    patience: Patience,
) -> Result<Response<Incoming>, Page> {
    let deadline = Instant::now() + patience.retry;
    let mut pause = PAUSE;
    let mut upload = body.map(|(body, limit)| Upload::new(body, limit));
    let repeatable = upload.is_none()
        && !ask.websocket
        && matches!(ask.parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let mut repeated = false;
    loop {
        let (address, key) = {
            let table = tables.borrow().clone();
            let route = table.find(&ask.origin.host).ok_or(Page::UnknownHost)?;
            (route.upstream(ask.path).map_err(Page::Refused)?.to_owned(), key_header(route))
        };
        let error = match connect(&address, patience.connect).await {
            Ok(stream) => {
                let request = request(&ask, key.as_ref());
                let (upload, watch) = upload.take().unwrap_or_else(|| (Upload::none(), BodyWatch::default()));
                match exchange(&address, stream, request.map(|()| upload)).await {
                    Ok(response) => return Ok(response),
                    Err(error) => match watch.fault() {
                        Some(fault) => return Err(broken(fault)),
                        None if repeatable && !repeated && error.is_silence() => {
                            repeated = true;
                            error
                        }
                        None => return Err(failed(&ask, &error)),
                    },
                }
            }
            Err(error) if error.is_absence() => error,
            Err(error) => return Err(failed(&ask, &error)),
        };
        if Instant::now() + pause >= deadline {
            return Err(failed(&ask, &error));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MOST);
    }
}

fn failed(ask: &Ask, error: &UpstreamError) -> Page {
    let host = ask.origin.host.name();
    tracing::warn!(host, error = error as &dyn Error, "a tenant's Odoo did not answer");
    Page::UpstreamFailed
}

fn broken(fault: BodyFault) -> Page {
    tracing::debug!(%fault, "give up on a request");
    Page::Body(fault)
}

fn request(ask: &Ask, key: Option<&http::HeaderValue>) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = ask.parts.method.clone();
    *request.uri_mut() = target(&ask.parts.uri);
    let headers = request.headers_mut();
    headers.clone_from(&ask.parts.headers);
    headers::introduce(headers, &ask.origin, key);
    if ask.websocket {
        headers::ask_for_websocket(headers);
    }
    request
}

/// The origin form of a target.
fn target(uri: &Uri) -> Uri {
    let asked = uri.path_and_query().map_or("/", |target| target.as_str());
    let asked = if asked.starts_with('?') { format!("/{asked}").into() } else { origin_target(asked) };
    asked.parse().unwrap_or_else(|_| uri.clone())
}

async fn connect(address: &str, patience: Duration) -> Result<TcpStream, UpstreamError> {
    let stream = match tokio::time::timeout(patience, TcpStream::connect(address)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    stream.map_err(|source| UpstreamError::Connect { address: address.to_owned(), source })
}

/// One connection for one request: Odoo closes after each.
async fn exchange(
    address: &str,
    stream: TcpStream,
    request: Request<Upload>,
) -> Result<Response<Incoming>, UpstreamError> {
    let fault = |source| UpstreamError::Exchange { address: address.to_owned(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(fault)?;
    // Ends with the response's body, or as soon as nobody waits for that.
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_asked_for_in_origin_form() {
        for (uri, sent) in [
            ("/web?db=x", "/web?db=x"),
            ("http://acme.localhost/web?a=b", "/web?a=b"),
            ("http://acme.localhost", "/"),
            ("http://acme.localhost?x", "/?x"),
            ("http://acme.localhost//evil/x", "/evil/x"),
            ("//evil/x", "/evil/x"),
        ] {
            let uri = uri.parse().unwrap_or_else(|_| panic!("{uri}"));
            assert_eq!(target(&uri).to_string(), sent);
        }
    }
}

//! Whether an Odoo answers, and answers its router alone.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{HOST, LOCATION};
use reqwest::{Client, StatusCode, redirect};
use tokio::time::{Instant, sleep};

/// The header that carries the router's key.
pub const ROUTER_HEADER: &str = "X-Heddle-Router";

const LOGIN: &str = "/web/login";
/// The first request after a start loads the registry and builds assets.
const ATTEMPT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum ReadyError {
    #[error("the login form of {address} did not come in time: {last}")]
    Late { address: SocketAddr, last: String },
    #[error("{address} answers without the router's key: Heddle's addon is not loaded")]
    Unguarded { address: SocketAddr },
    #[error("{address} does not accept the router's key")]
    WrongKey { address: SocketAddr },
}

/// Waits until the login form answers 200 with its CSRF token, asked for as
/// the router asks; then proves that who has no key is refused.
pub async fn ready(
    address: SocketAddr,
    host: &str,
    router_key: &str,
    deadline: Instant,
) -> Result<(), ReadyError> {
    let client = client();
    let mut last = "it was not asked".to_owned();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ReadyError::Late { address, last });
        }
        match login_form(&client, address, host, Some(router_key), left.min(ATTEMPT)).await {
            Ok(()) => break,
            Err(Probe::Refused) => return Err(ReadyError::WrongKey { address }),
            Err(Probe::Not(why)) => last = why,
        }
        sleep(PAUSE.min(left)).await;
    }
    match login_form(&client, address, host, None, ATTEMPT).await {
        Err(Probe::Refused) => Ok(()),
        Ok(()) => Err(ReadyError::Unguarded { address }),
        Err(Probe::Not(why)) if why.starts_with("status") => Err(ReadyError::Unguarded { address }),
        Err(Probe::Not(last)) => Err(ReadyError::Late { address, last }),
    }
}

/// One look at the login form; Err says what came instead.
pub async fn alive(
    address: SocketAddr,
    host: &str,
    router_key: &str,
    timeout: Duration,
) -> Result<(), String> {
    match login_form(&client(), address, host, Some(router_key), timeout).await {
        Ok(()) => Ok(()),
        Err(Probe::Refused) => Err("it does not accept the router's key".into()),
        Err(Probe::Not(why)) => Err(why),
    }
}

enum Probe {
    Refused,
    Not(String),
}

fn client() -> Client {
    // nothing but the address itself is ever asked: no proxy, no redirect
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .build()
        .expect("a client without TLS can be built")
}

async fn login_form(
    client: &Client,
    address: SocketAddr,
    host: &str,
    key: Option<&str>,
    timeout: Duration,
) -> Result<(), Probe> {
    let mut path = LOGIN.to_owned();
    // a website may lead to its own form (/en/web/login)
    for _ in 0..3 {
        let mut request = client.get(format!("http://{address}{path}")).header(HOST, host).timeout(timeout);
        if let Some(key) = key {
            request = request.header(ROUTER_HEADER, key);
        }
        let answer = request.send().await.map_err(|error| Probe::Not(cause(&error)))?;
        let status = answer.status();
        if status == StatusCode::FORBIDDEN {
            return Err(Probe::Refused);
        }
        if status.is_redirection() {
            let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
            path =
                on_the_same_host(to, host).ok_or_else(|| Probe::Not(format!("status {status} to {to:?}")))?;
            continue;
        }
        if status != StatusCode::OK {
            return Err(Probe::Not(format!("status {status}")));
        }
        let body = answer.text().await.map_err(|error| Probe::Not(cause(&error)))?;
        let form = body.contains("name=\"csrf_token\"") && body.contains("name=\"password\"");
        return if form { Ok(()) } else { Err(Probe::Not("status 200, but no login form".into())) };
    }
    Err(Probe::Not("status 303 again and again".into()))
}

fn on_the_same_host(location: &str, host: &str) -> Option<String> {
    let path = match location.strip_prefix("http://").or_else(|| location.strip_prefix("https://")) {
        Some(rest) => rest.strip_prefix(host)?,
        None => location,
    };
    (path.starts_with('/') && !path.starts_with("//")).then(|| path.to_owned())
}

/// The innermost cause: reqwest's own text names only the address.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn redirects_stay_on_the_host() {
        assert_eq!(on_the_same_host("/en/web/login", "a"), Some("/en/web/login".into()));
        assert_eq!(on_the_same_host("http://acme.localhost:80/x", "acme.localhost:80"), Some("/x".into()));
        assert_eq!(on_the_same_host("http://evil/x", "acme"), None);
        assert_eq!(on_the_same_host("//evil/x", "acme"), None);
    }

    /// Answers every request with the same text.
    async fn server(answer: &'static str) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_server_that_answers_everybody_is_not_ready() {
        let form = "HTTP/1.0 200 OK\r\n\r\n<input name=\"password\"><input name=\"csrf_token\" value=\"x\">";
        let open = server(form).await;
        let soon = || Instant::now() + Duration::from_secs(1);
        let error = ready(open, "acme", "key", soon()).await.unwrap_err();
        assert!(matches!(error, ReadyError::Unguarded { .. }), "{error}");

        let broken = server("HTTP/1.0 500 No\r\n\r\n").await;
        let error = ready(broken, "acme", "key", soon()).await.unwrap_err();
        assert!(error.to_string().ends_with("in time: status 500 Internal Server Error"), "{error}");
    }
}

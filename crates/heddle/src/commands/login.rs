use clap::Args;
use protocol::api::{LoggedIn, Login as Ask};
use protocol::client::{Client, Key};
use serde_json::json;

use crate::api::Api;
use crate::context::Context;
use crate::credentials::{Credentials, Server};
use crate::failure::Failure;
use crate::terminal;

/// Log in to a control plane, and keep a key for it
///
/// Asks for login and password, and gets a key of one's own for this machine,
/// good for 90 days. It is kept in `heddle/credentials.toml` in the user's
/// folder for settings ($XDG_CONFIG_HOME, else ~/.config), which nobody else may
/// read. Commands use the key of the server that was logged in to last, or of
/// the one that --url names; HEDDLE_API_KEY, and --data for a data folder's own
/// key, go before it.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle login http://127.0.0.1:7700\n  \
        pass show heddle-key | heddle login http://127.0.0.1:7700 --key-stdin")]
pub struct Login {
    /// Control's address [default: where other commands would find it]
    #[arg(value_name = "URL")]
    server: Option<String>,
    /// Whose [default: asked for]; the password then also comes on standard input
    #[arg(long, value_name = "LOGIN", conflicts_with = "key_stdin")]
    login: Option<String>,
    /// Keep the API key that comes on standard input
    #[arg(long)]
    key_stdin: bool,
    /// Send it over the network as it is, readable for whoever is in between
    #[arg(long)]
    plain_http: bool,
}

impl Login {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let url = address(self.server.unwrap_or_else(|| context.url()), self.plain_http)?;
        let mut credentials = Credentials::load()?;
        let before = credentials.server(&url).cloned();
        let server = if self.key_stdin {
            let key = terminal::read_secret("The API key:").await?;
            // Kept only if it is good there.
            Api::new(Client::new(&url, Key::new(&key))).projects().await?;
            Server { login: None, key }
        } else {
            let login = match self.login {
                Some(login) => login,
                None => {
                    context.ask("Login:", "logging in", "name yourself with --login, or use --key-stdin")?
                }
            };
            let password = terminal::read_secret("Password:").await?;
            let ask = Ask { login, password, name: format!("heddle login on {}", machine()) };
            let LoggedIn { login, key, .. } = Api::new(Client::new(&url, Key::new(""))).log_in(&ask).await?;
            Server { login: Some(login), key }
        };
        let login = server.login.clone();
        credentials.keep(&url, server)?;
        // The one it takes the place of is not left lying about.
        if let Some(before) = before.filter(|before| before.login.is_some()) {
            let _ = Api::new(Client::new(&url, Key::new(before.key))).log_out().await;
        }
        let file = credentials.path().display().to_string();
        context.output.result(&json!({"url": url, "login": login, "credentials": file}), |_| {
            let who = login
                .as_deref()
                .map_or_else(|| "The key works".to_owned(), |login| format!("You are {login}"));
            format!("{who} at {url}. The key is kept in {file}; `heddle logout` ends it.\n")
        })
    }
}

/// Control speaks plain HTTP: what goes to another machine is only sent where
/// somebody says so.
fn address(url: String, plain: bool) -> Result<String, Failure> {
    let url = url.trim_end_matches('/').to_owned();
    if url.starts_with("https://") {
        return Err(Failure::usage("this heddle does not speak TLS")
            .hint("forward a port, such as `ssh -N -L 7700:127.0.0.1:7700 HOST`, and log in to http://127.0.0.1:7700"));
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return Err(Failure::usage(format!("{url:?} is no address")).hint("write it as http://HOST:PORT"));
    };
    let host = rest.split('/').next().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let here =
        name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if name.is_empty() || rest.contains('@') {
        return Err(Failure::usage(format!("{url:?} is no address")).hint("write it as http://HOST:PORT"));
    }
    if !here && !plain {
        return Err(Failure::usage(format!("{name} is another machine, and the way there is not encrypted"))
            .hint("forward a port with ssh and log in to that, or add --plain-http where the network is trusted"));
    }
    Ok(url)
}

fn machine() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.chars().take(60).collect()
}

/// End the key that this machine was logged in with
///
/// It is revoked at its server, and removed from the user's file.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle logout\n  heddle logout http://127.0.0.1:7700")]
pub struct Logout {
    /// Which server [default: the one that was logged in to last]
    #[arg(value_name = "URL")]
    server: Option<String>,
}

impl Logout {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut credentials = Credentials::load()?;
        let url = self
            .server
            .or_else(|| context.settings.url.clone())
            .or_else(|| credentials.current().map(Into::into));
        let found = url.as_deref().and_then(|url| credentials.server(url)).cloned();
        let (Some(url), Some(server)) = (url, found) else {
            return Err(Failure::new(
                crate::exit::Exit::Refused,
                "not-logged-in",
                "nobody is logged in there",
            )
            .hint("`heddle login URL` logs in"));
        };
        let url = url.trim_end_matches('/').to_owned();
        // A key that was brought along is its owner's to end.
        let ended = match server.login {
            Some(_) => Api::new(Client::new(&url, Key::new(server.key))).log_out().await,
            None => Ok(()),
        };
        credentials.forget(&url)?;
        if let Err(error) = ended {
            let mut failure = Failure::from(error);
            if failure.exit != crate::exit::Exit::Denied {
                let why = std::mem::replace(&mut failure.detail, format!("the key at {url} was not revoked"));
                failure.causes.insert(0, why);
                return Err(failure.hint("it is removed here, and good until it expires: revoke it there"));
            }
        }
        context.output.result(&json!({"url": url}), |_| format!("Logged out of {url}.\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_travel_in_the_open() {
        for good in ["http://127.0.0.1:7700", "http://localhost/", "http://[::1]:7700", "http://127.9.9.9"] {
            address(good.into(), false).unwrap();
        }
        for bad in ["http://10.0.0.1:7700", "http://console.example", "http://localhost.example:1"] {
            let failure = address(bad.into(), false).unwrap_err();
            assert!(failure.hint.unwrap().contains("--plain-http"), "{bad}");
            address(bad.into(), true).unwrap();
        }
        for bad in ["https://localhost", "localhost:7700", "http://", "http://u:p@localhost", "ftp://x"] {
            address(bad.into(), true).unwrap_err();
        }
    }
}

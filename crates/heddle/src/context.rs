//! What every command is given.

use std::io::Write;

use protocol::api::Run;
use protocol::client::{Client, Key};
use uuid::Uuid;

use crate::api::Api;
use crate::cli::Global;
use crate::credentials::Credentials;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::follow::Watched;
use crate::output::Output;
use crate::settings::Settings;
use crate::{follow, secrets};

#[derive(Debug)]
pub struct Context {
    pub output: Output,
    pub settings: Settings,
}

impl Context {
    pub fn new(global: &Global) -> Result<Self, Failure> {
        Ok(Self { output: Output { json: global.json }, settings: Settings::load(global)? })
    }

    /// Control's address.
    pub fn url(&self) -> String {
        self.settings.control_url()
    }

    /// Control, with the first key that is there: HEDDLE_API_KEY; the data
    /// folder's, if one is named; one's own, of the server that is named or was
    /// logged in to last; the data folder's.
    pub fn api(&self) -> Result<Api, Failure> {
        if let Some(key) = std::env::var("HEDDLE_API_KEY").ok().filter(|key| !key.is_empty()) {
            return Ok(Api::new(Client::new(&self.url(), Key::new(key))));
        }
        if !self.settings.names_data() {
            let credentials = match Credentials::load() {
                // Who has no home may still read the data folder.
                Err(failure) if failure.kind == "no-home" => None,
                credentials => Some(credentials?),
            };
            if let Some(credentials) = &credentials
                && let Some(url) = self.settings.url.as_deref().or_else(|| credentials.current())
                && let Some(server) = credentials.server(url)
            {
                return Ok(Api::new(Client::new(url, Key::new(&server.key))));
            }
        }
        let key = secrets::Secrets::new(&self.settings.data).admin_key()?;
        Ok(Api::new(Client::new(&self.url(), Key::new(key))))
    }

    /// See [`follow::follow`].
    pub async fn follow(&self, api: &Api, run: Uuid, what: &str) -> Result<Run, Failure> {
        follow::follow(api, Watched::Closely(self.output), run, what).await
    }

    /// For a run whose result tells what its events would: only warnings are shown.
    pub async fn await_run(&self, api: &Api, run: Uuid, what: &str) -> Result<Run, Failure> {
        follow::follow(api, Watched::Quietly(self.output), run, what).await
    }

    /// Asks for a yes to `what` ("restoring acme"); where nobody can be asked, or
    /// says no, the command ends.
    pub fn confirm(&self, question: &str, what: &str, hint: &str) -> Result<(), Failure> {
        let answer = self.ask(&format!("{question} [y/N]"), what, hint)?;
        if matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(needs_confirmation(what, hint))
    }

    /// What somebody at the terminal answers.
    pub fn ask(&self, question: &str, what: &str, hint: &str) -> Result<String, Failure> {
        if !self.output.can_ask() {
            return Err(needs_confirmation(what, hint));
        }
        let read = || -> std::io::Result<String> {
            let mut out = std::io::stderr();
            write!(out, "{question} ")?;
            out.flush()?;
            let mut line = String::new();
            std::io::stdin().read_line(&mut line)?;
            Ok(line.trim().to_owned())
        };
        read().map_err(|error| Failure::while_trying("read the answer", &error))
    }
}

fn needs_confirmation(what: &str, hint: &str) -> Failure {
    Failure::new(Exit::NeedsConfirmation, "needs-confirmation", format!("{what} needs a yes")).hint(hint)
}

//! What every command is given.

use std::io::Write;

use protocol::api::Run;
use protocol::client::{Client, Key};
use uuid::Uuid;

use crate::api::Api;
use crate::cli::Global;
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

    /// Control, with the key from HEDDLE_API_KEY or the data folder.
    pub fn api(&self) -> Result<Api, Failure> {
        let key = match std::env::var("HEDDLE_API_KEY") {
            Ok(key) if !key.is_empty() => key,
            _ => secrets::Secrets::new(&self.settings.data).admin_key()?,
        };
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

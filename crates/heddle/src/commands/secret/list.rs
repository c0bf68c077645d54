use clap::Args;

use super::Of;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::table;
use crate::time::local;

/// List the secrets that reach a tenant, an environment or a project
///
/// Of two with one name the first reaches it. Values are not shown.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle secret list --tenant acme")]
pub struct List {
    #[command(flatten)]
    of: Of,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let secrets = context.api()?.secrets(&self.of.into()).await?;
        context.output.result(&secrets, |secrets| {
            let rows = secrets.iter().map(|secret| {
                [
                    secret.name.clone(),
                    super::owner(secret),
                    secret.version.to_string(),
                    secret.fingerprint.clone(),
                    local(secret.set_at),
                    secret.set_by.clone(),
                ]
            });
            table(["name", "of", "version", "fingerprint", "set", "by"], rows, "No secrets.")
        })
    }
}

use std::path::PathBuf;

use clap::Args;
use protocol::api::NewSecret;

use super::Of;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal;

/// Set a secret; its value is never shown again
///
/// The value is read from standard input, from a file, or asked for without
/// being shown; never from the command line, which others on the machine can
/// see. Odoos find it in the variable of its name from their next start on.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle secret set SMTP_PASSWORD --tenant acme\n  \
        pass show smtp | heddle secret set SMTP_PASSWORD --env demo/production\n  \
        heddle secret set S3_KEY --project demo --file s3.key")]
pub struct Set {
    /// Its name and variable, such as `SMTP_PASSWORD`
    name: String,
    #[command(flatten)]
    of: Of,
    /// Read the value from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only if this is its present version
    #[arg(long, value_name = "VERSION")]
    replacing: Option<i64>,
}

impl Set {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let value = match &self.file {
            Some(file) => terminal::read_file(file)?,
            None => terminal::read_secret(&format!("The value of {}:", self.name)).await?,
        };
        let set = api.set_secret(&self.name, &self.of.into(), &NewSecret { value }, self.replacing).await?;
        context.output.result(&set, |set| {
            format!(
                "{} of the {} is set: version {}, fingerprint {}.\nOdoos have it from their next start on.\n",
                set.name,
                super::owner(set),
                set.version,
                set.fingerprint
            )
        })
    }
}

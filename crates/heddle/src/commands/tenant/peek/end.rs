use clap::Args;
use uuid::Uuid;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// End a peek before its time, and wait until nothing is left of it
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle tenant peek end acme\n  \
        heddle tenant peek end acme 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b")]
pub struct End {
    /// Whose
    tenant: String,
    /// Which, if there are several
    peek: Option<Uuid>,
}

impl End {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let peek = match self.peek {
            Some(peek) => peek,
            None => {
                let peeks = api.peeks(&self.tenant).await?;
                let live: Vec<Uuid> =
                    peeks.iter().filter(|peek| peek.state.is_live()).map(|peek| peek.id).collect();
                let hint = format!("`heddle tenant peek list {}` shows them", self.tenant);
                match live[..] {
                    [one] => one,
                    [] => {
                        let detail = format!("nobody looks into {}", self.tenant);
                        return Err(Failure::new(Exit::Refused, "not-found", detail).hint(hint));
                    }
                    _ => {
                        let detail = format!("{} has {} peeks: name one", self.tenant, live.len());
                        return Err(Failure::new(Exit::Refused, "several", detail).hint(hint));
                    }
                }
            }
        };
        let ended = super::end(&api, &self.tenant, peek).await?;
        context.output.result(&ended, |ended| format!("The peek into {} is {}.\n", ended.tenant, ended.state))
    }
}

use clap::{ArgGroup, Args};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use model::peek::PeekState;
use protocol::api::{CreatedPeek, NewPeek, Peek};

use super::{psql, shows};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::facts;
use crate::time::{When, local};

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("state").required(true).args(["at", "snapshot", "lsn", "latest"]))]
pub struct Open {
    /// Which tenant
    #[arg(required = true)]
    tenant: Option<String>,
    /// At a time: `2026-11-21 11:35:51` (local), RFC 3339, or relative, such as `-90s` or `5m ago`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<When>,
    /// At a snapshot, by its name or id
    #[arg(long, value_name = "SNAPSHOT")]
    snapshot: Option<String>,
    /// Before a position in the WAL of what is served now, such as `0/3000148`
    #[arg(long, value_name = "LSN")]
    lsn: Option<String>,
    /// The newest state
    #[arg(long)]
    latest: bool,
    /// How long it lasts, such as `15m`; up to a day [default: 1h]
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::time::duration_argument)]
    lasts: Option<SignedDuration>,
    /// Run psql on it, on the worker's host, and end it afterwards
    #[arg(long)]
    psql: bool,
    /// What psql is given
    #[arg(last = true, value_name = "PSQL ARGUMENTS")]
    arguments: Vec<String>,
}

impl Open {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let tenant = self.tenant.ok_or_else(|| Failure::usage("which tenant?"))?;
        let at = self.at.map(|at| at.resolve(Timestamp::now(), &TimeZone::system())).transpose()?;
        let seconds = match self.lasts {
            Some(lasts) => Some(
                u32::try_from(lasts.as_secs())
                    .map_err(|error| Failure::usage("a peek does not last that long").because(&error))?,
            ),
            None => None,
        };
        let new = NewPeek { snapshot: self.snapshot, at, lsn: self.lsn, seconds };
        let api = context.api()?;
        let mut made = api.create_peek(&tenant, &new).await?;
        let id = made.peek.id;
        let opened = context.follow(&api, made.peek.run, &format!("the peek into {tenant}")).await;
        if let Err(failure) = opened {
            return Err(match failure.exit {
                Exit::Interrupted => failure.hint(format!(
                    "nobody knows its password now: end it with `heddle tenant peek end {tenant} {id}`"
                )),
                _ => failure,
            });
        }
        made.peek = api.peek(&tenant, id).await?;
        if self.psql || !self.arguments.is_empty() {
            let ran = psql::run(&made, self.arguments).await;
            super::end(&api, &tenant, id).await?;
            return ran;
        }
        context.output.result(&made, text)
    }
}

fn text(made: &CreatedPeek) -> String {
    let CreatedPeek { peek, password } = made;
    if peek.state != PeekState::Open {
        let reason = peek.reason.as_deref().unwrap_or_default();
        return format!("The peek into {} is {}: {reason}.\n", peek.tenant, peek.state);
    }
    let mut text = facts([
        ("tenant", peek.tenant.clone()),
        ("as it was", shows(peek)),
        ("until", peek.expires_at.map(local).unwrap_or_default()),
        ("on the host of", peek.worker.clone().unwrap_or_default()),
        ("address", url(peek)),
        ("password", format!("{password} (shown this once)")),
    ]);
    text += &format!(
        "\nConnect on that host, and give the password when psql asks for it:\n  psql {}\n\nEnd it before its \
         time:\n  heddle tenant peek end {} {}\n",
        url(peek),
        peek.tenant,
        peek.id
    );
    text
}

/// Without the password, so that it can stand in a command line.
fn url(peek: &Peek) -> String {
    let (host, port) = (peek.host.as_deref().unwrap_or_default(), peek.port.unwrap_or_default());
    format!("postgresql://{}@{host}:{port}/{}", peek.user, peek.database)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_address_can_be_copied_without_the_password() {
        let peek = Peek {
            id: Uuid::nil(),
            tenant: "acme".into(),
            state: PeekState::Open,
            snapshot: Some("before".into()),
            at: None,
            lsn: None,
            seconds: 3600,
            worker: Some("local".into()),
            host: Some("127.0.0.1".into()),
            port: Some(18_000),
            database: "acme".into(),
            user: "heddle_peek".into(),
            reason: None,
            run: Uuid::nil(),
            created_at: Timestamp::UNIX_EPOCH,
            opened_at: Some(Timestamp::UNIX_EPOCH),
            expires_at: Some(Timestamp::UNIX_EPOCH),
            ended_at: None,
        };
        let text = text(&CreatedPeek { peek, password: "hunter2".into() });
        assert!(text.contains("psql postgresql://heddle_peek@127.0.0.1:18000/acme\n"), "{text}");
        assert_eq!(text.matches("hunter2").count(), 1, "{text}");
        assert!(text.contains("the snapshot before"), "{text}");
    }
}

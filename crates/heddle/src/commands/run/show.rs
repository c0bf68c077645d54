use clap::Args;
use model::run::Approval;
use protocol::api::{Run, RunEvent};
use serde::Serialize;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;
use crate::follow::{event_line, read_events};
use crate::output::facts;
use crate::time::local;

/// Show a run with its events
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle run show 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b")]
pub struct Show {
    /// Its id, as `heddle run list` shows it
    id: Uuid,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    run: Run,
    events: Vec<RunEvent>,
}

impl Show {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let run = api.run(self.id).await?;
        let events = read_events(&api, self.id, 0).await?;
        context.output.result(&Shown { run, events }, |shown| {
            let mut text = text(&shown.run);
            if !shown.events.is_empty() {
                text.push('\n');
            }
            for event in &shown.events {
                text += &event_line(event);
                text.push('\n');
            }
            text
        })
    }
}

pub fn text(run: &Run) -> String {
    facts([
        ("run", run.id.to_string()),
        ("kind", run.kind.to_string()),
        ("project", run.project.clone().unwrap_or_default()),
        ("environment", run.environment.clone().unwrap_or_default()),
        ("tenant", run.tenant.clone().unwrap_or_default()),
        ("state", run.state.to_string()),
        ("waits for", run.after.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ("approval", if run.approval == Approval::None { String::new() } else { run.approval.to_string() }),
        ("attempts", format!("{} of {}", run.attempts, run.max_attempts)),
        ("tried again", run.run_at.map(local).unwrap_or_default()),
        ("queued", local(run.queued_at)),
        ("started", run.started_at.map(local).unwrap_or_default()),
        ("ended", run.ended_at.map(local).unwrap_or_default()),
        ("reason", run.reason.clone().unwrap_or_default()),
        ("hint", run.hint.clone().unwrap_or_default()),
    ])
}

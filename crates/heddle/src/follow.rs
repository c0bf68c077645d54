//! Following a run to its end.

use std::cell::Cell;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use model::run::{Level, RunState};
use protocol::api::{Run, RunEvent};
use protocol::client::ClientError;
use tokio::time::Instant;
use uuid::Uuid;

use crate::api::Api;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::time::local;

/// Between two looks at a run: a part of the time that it has taken, so that a
/// short one's end is seen at once.
const PART: u32 = 12;
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Control may be restarted while a run goes on; it is waited for this long.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, Args)]
pub struct Wait {
    /// Wait for the end [the default]
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Return as soon as it is asked for
    #[arg(long, overrides_with = "wait")]
    no_wait: bool,
}

impl Wait {
    pub fn wanted(self) -> bool {
        !self.no_wait
    }
}

pub fn event_line(event: &RunEvent) -> String {
    let level = match event.level {
        Level::Debug | Level::Info => "",
        Level::Warning => "warning: ",
        Level::Error => "error: ",
    };
    format!("{}  {level}{}", local(event.at), event.message)
}

/// All events after the one with the id `after`.
pub async fn read_events(api: &Api, run: Uuid, after: i64) -> Result<Vec<RunEvent>, ClientError> {
    let mut events = Vec::new();
    let mut last = after;
    loop {
        let more = api.run_events(run, last).await?;
        match more.last() {
            Some(event) => last = event.id,
            None => return Ok(events),
        }
        events.extend(more);
    }
}

/// How much of a run is shown, and where.
#[derive(Debug, Clone, Copy)]
pub enum Watched {
    Closely(Output),
    /// Only what went wrong.
    Quietly(Output),
}

/// Where a run's events are shown: over one line of a terminal, or line by line.
enum Shown {
    Bar(ProgressBar),
    Lines {
        least: Level,
        /// When progress was last told; it comes more often than anybody reads it.
        told: Cell<Option<Instant>>,
    },
    Nothing,
}

/// Between two lines that only tell of progress.
const PROGRESS_PAUSE: Duration = Duration::from_secs(2);

impl Shown {
    fn new(watched: Watched, what: &str) -> Self {
        let (output, least) = match watched {
            Watched::Closely(output) => (output, Level::Info),
            Watched::Quietly(output) => (output, Level::Warning),
        };
        if output.json {
            return Self::Nothing;
        }
        if !output.draws() {
            return Self::Lines { least, told: Cell::new(None) };
        }
        let style = ProgressStyle::with_template("{spinner} {prefix}: {wide_msg} {elapsed}")
            .expect("the template is well formed");
        let bar = ProgressBar::new(1000).with_style(style).with_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self::Bar(bar)
    }

    fn event(&self, event: &RunEvent) {
        match self {
            Self::Bar(bar) if event.level >= Level::Warning => bar.println(event_line(event)),
            Self::Bar(bar) => match event.progress {
                Some(part) => bar.set_message(format!("{} ({:.0} %)", event.message, part * 100.0)),
                None => bar.set_message(event.message.clone()),
            },
            Self::Lines { least, told } if event.level >= *least => {
                let progress = event.progress.is_some_and(|part| part < 1.0);
                let soon = told.get().is_some_and(|told| told.elapsed() < PROGRESS_PAUSE);
                if progress && soon {
                    return;
                }
                told.set(progress.then(Instant::now));
                eprintln!("{}", event_line(event));
            }
            Self::Lines { .. } | Self::Nothing => {}
        }
    }

    fn waiting(&self) {
        match self {
            Self::Bar(bar) => bar.set_message("waiting for control"),
            Self::Lines { .. } => eprintln!("control does not answer; waiting for it"),
            Self::Nothing => {}
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Shows a run's events until it has ended. Fails unless it succeeded.
/// `what` names it in a sentence: "the snapshot of acme".
pub async fn follow(api: &Api, watched: Watched, run: Uuid, what: &str) -> Result<Run, Failure> {
    let shown = Shown::new(watched, what);
    let ended = tokio::select! {
        ended = watch(api, run, &shown) => ended?,
        _ = tokio::signal::ctrl_c() => {
            return Err(Failure::new(Exit::Interrupted, "interrupted", format!("stopped watching {what}; it goes on"))
                .hint(format!("`heddle run follow {run}` watches it, `heddle run cancel {run}` stops it")));
        }
    };
    drop(shown);
    outcome(ended, what)
}

async fn watch(api: &Api, run: Uuid, shown: &Shown) -> Result<Run, Failure> {
    let mut last = 0;
    let began = Instant::now();
    let mut silent_since: Option<Instant> = None;
    loop {
        // The state first: events that come before it says "ended" are all seen.
        let seen = async { Ok((api.run(run).await?, read_events(api, run, last).await?)) };
        match seen.await {
            Ok((now, events)) => {
                silent_since = None;
                for event in &events {
                    shown.event(event);
                    last = event.id;
                }
                if now.state.ended() {
                    return Ok(now);
                }
            }
            Err(error @ ClientError::Unreachable { .. }) => {
                let since = *silent_since.get_or_insert_with(|| {
                    shown.waiting();
                    Instant::now()
                });
                if since.elapsed() > PATIENCE {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep((began.elapsed() / PART).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
    }
}

fn outcome(run: Run, what: &str) -> Result<Run, Failure> {
    let reason = run.reason.as_deref().unwrap_or("no reason was recorded");
    match run.state {
        RunState::Succeeded => Ok(run),
        RunState::Cancelled => {
            Err(Failure::new(Exit::RunCancelled, "run-cancelled", format!("{what} was cancelled"))
                .hint(format!("`heddle run retry {}` starts it again", run.id)))
        }
        _ => {
            let hint = run
                .hint
                .clone()
                .unwrap_or_else(|| format!("`heddle run show {}` tells what it did before", run.id));
            Err(Failure::new(Exit::RunFailed, "run-failed", format!("{what} failed: {reason}")).hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::run::RunKind;

    use super::*;

    fn ended(state: RunState, reason: Option<&str>) -> Result<Run, Failure> {
        let run = Run {
            id: Uuid::nil(),
            kind: RunKind::Snapshot,
            state,
            tenant: Some("acme".into()),
            project: None,
            environment: None,
            sha: None,
            git_ref: None,
            metadata: serde_json::Value::Null,
            priority: model::run::Priority::Normal,
            approval: model::run::Approval::None,
            after: Vec::new(),
            labels: Vec::new(),
            attempts: 1,
            max_attempts: 1,
            reason: reason.map(Into::into),
            hint: None,
            progress: None,
            queued_at: Timestamp::UNIX_EPOCH,
            run_at: None,
            started_at: None,
            ended_at: None,
        };
        outcome(run, "the snapshot of acme")
    }

    #[test]
    fn the_exit_code_tells_how_the_run_ended() {
        ended(RunState::Succeeded, None).unwrap();
        let failed = ended(RunState::Failed, Some("the disk is full")).unwrap_err();
        assert_eq!(failed.exit, Exit::RunFailed);
        assert_eq!(failed.detail, "the snapshot of acme failed: the disk is full");
        assert!(failed.hint.unwrap().contains("heddle run show"));
        assert_eq!(ended(RunState::Cancelled, None).unwrap_err().exit, Exit::RunCancelled);
    }
}

//! A claimed run, as its steps see it: a place to report events and facts, and
//! to hear that it is over.

use std::time::Duration;

use jiff::Timestamp;
use model::RunId;
use model::run::Level;
use protocol::client::{Client, ClientError};
use protocol::internal::{Event, Events, Fact, Finish, Outcome, Recorded, Report};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::hold::Signals;

/// Reports under one lease. Cheap to clone.
#[derive(Clone)]
pub struct Run {
    pub id: RunId,
    pub attempt: i32,
    fence: i64,
    client: Client,
    events: mpsc::UnboundedSender<Event>,
    signals: Signals,
}

/// The tasks behind a [`Run`]; [`Reporting::finish`] ends them in order.
pub struct Reporting {
    run: Run,
    sender: tokio::task::JoinHandle<()>,
}

impl Run {
    pub fn start(client: Client, id: RunId, attempt: i32, fence: i64, signals: Signals) -> (Self, Reporting) {
        let (events, queue) = mpsc::unbounded_channel();
        let run = Self { id, attempt, fence, client, events, signals };
        let sender = tokio::spawn(send_events(run.client.clone(), id, fence, queue));
        (run.clone(), Reporting { run, sender })
    }

    pub fn info(&self, message: impl Into<String>) {
        self.event(Level::Info, message.into(), None);
    }

    pub fn warn(&self, message: impl Into<String>) {
        self.event(Level::Warning, message.into(), None);
    }

    /// `fraction` from 0 to 1.
    pub fn progress(&self, fraction: f64, message: impl Into<String>) {
        self.event(Level::Info, message.into(), Some(fraction.clamp(0.0, 1.0)));
    }

    fn event(&self, level: Level, message: String, progress: Option<f64>) {
        tracing::info!(run = %self.id, "{message}");
        let event = Event { at: Timestamp::now(), level, message, progress, payload: None };
        // The receiver lives as long as the run; a late event has nobody to hear it.
        let _ = self.events.send(event);
    }

    /// Commits a fact. Control may be down for a while: the run waits for it,
    /// since what it does next rests on the fact.
    pub async fn record(&self, fact: Fact) -> Result<Recorded, Failure> {
        let report = Report { fence: self.fence, fact };
        let path = format!("/internal/runs/{}/record", self.id);
        patiently(|| self.client.post(&path, &report))
            .await
            .map_err(|source| Failure::new("record what was done").caused_by(source))
    }

    /// Ends a step that somebody has asked to be cancelled; called where nothing
    /// is left half done by that.
    pub fn go_on(&self) -> Result<(), Failure> {
        match self.signals.stop.is_cancelled() {
            true => Err(Failure::cancelled()),
            false => Ok(()),
        }
    }

    pub async fn cancelled(&self) {
        self.signals.stop.cancelled().await;
    }
}

impl Reporting {
    /// Sends the last events, then the outcome.
    pub async fn finish(self, outcome: Outcome) -> Result<(), ClientError> {
        let Self { run, sender } = self;
        let Run { id, fence, client, events, .. } = run;
        drop(events);
        let _ = sender.await;
        let finish = Finish { fence, outcome };
        let path = format!("/internal/runs/{id}/finish");
        patiently(|| client.post::<serde_json::Value>(&path, &finish)).await?;
        Ok(())
    }

    /// Ends without a word: the lease is somebody else's.
    pub fn abandon(self) {
        self.sender.abort();
    }
}

async fn send_events(client: Client, run: RunId, fence: i64, mut queue: mpsc::UnboundedReceiver<Event>) {
    let path = format!("/internal/runs/{run}/events");
    let mut batch = Vec::new();
    let mut first = 1;
    while queue.recv_many(&mut batch, 500).await > 0 {
        let events = Events { fence, first, events: std::mem::take(&mut batch) };
        first += i64::try_from(events.events.len()).unwrap_or(i64::MAX);
        if let Err(error) = patiently(|| client.post::<serde_json::Value>(&path, &events)).await {
            tracing::debug!(%run, %error, "events refused");
        }
    }
}

/// Tries again while control cannot be reached: it is being restarted, and
/// every message is safe to repeat. A refusal is final.
pub async fn patiently<T, F>(mut send: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut pause = Duration::from_millis(50);
    loop {
        match send().await {
            Err(ClientError::Unreachable { .. } | ClientError::Answer { .. }) => {}
            Err(ClientError::Refused(problem)) if problem.status >= 500 => {}
            done => return done,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

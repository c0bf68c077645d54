use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::WorkerId;
use protocol::api::LogLines;
use protocol::internal::{Answer, Ask, LogSource, Question, Questions};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use crate::{Control, Kind, Refusal, Result};

const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Questions to workers and those who wait for the answers; in memory, since
/// whoever asked is gone when control is.
#[derive(Default)]
pub(crate) struct Desk {
    asked: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Not yet fetched by their worker.
    open: HashMap<WorkerId, Vec<Question>>,
    waiting: HashMap<Uuid, (WorkerId, oneshot::Sender<Vec<String>>)>,
}

impl Desk {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // Each change is whole in itself, so a panic elsewhere leaves it sound.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&self, worker: WorkerId, ask: Ask) -> Pending<'_> {
        let (sender, answer) = oneshot::channel();
        let id = Uuid::now_v7();
        self.with(|state| {
            state.waiting.insert(id, (worker, sender));
            state.open.entry(worker).or_default().push(Question { id, ask });
        });
        self.asked.notify_waiters();
        Pending { desk: self, worker, id, answer }
    }
}

/// A question that somebody waits for; given up when dropped.
struct Pending<'a> {
    desk: &'a Desk,
    worker: WorkerId,
    id: Uuid,
    answer: oneshot::Receiver<Vec<String>>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.desk.with(|state| {
            state.waiting.remove(&self.id);
            if let Some(open) = state.open.get_mut(&self.worker) {
                open.retain(|question| question.id != self.id);
            }
        });
    }
}

impl Control {
    /// The last `lines` (at most 10,000) of a tenant's log, asked of its worker.
    pub async fn tenant_log(&self, tenant: &str, source: LogSource, lines: u32) -> Result<LogLines> {
        let (row, placed) = {
            let database = self.database().await?;
            let tenant = crate::tenant::find(&database, tenant).await?;
            let placed = match tenant.placed {
                Some(placed) => Some((tenant.id, placed.lineage, placed.worker)),
                // A provision under way, or a failed one.
                None => database::tenant_database::newest(&database, tenant.id)
                    .await?
                    .map(|database| (tenant.id, database.lineage, database.worker)),
            };
            (tenant, placed)
        };
        let name = &row.name;
        let Some((tenant, lineage, worker)) = placed else {
            return Err(Refusal::wrong_state(format!("{name} has no log yet"))
                .hint("its provision has not come so far; follow its run")
                .into());
        };
        let ask = Ask::TenantLog { tenant, lineage, source, lines: lines.clamp(1, 10_000) };
        let mut pending = self.inner.questions.ask(worker, ask);
        match timeout(self.settings().answer_wait, &mut pending.answer).await {
            Ok(Ok(lines)) => {
                let redactor = self.redactor_of_tenant(&row).await?;
                Ok(LogLines { lines: lines.into_iter().map(|line| redactor.clean(line)).collect() })
            }
            _ => Err(Refusal::new(Kind::Unavailable, format!("the worker of {name} does not answer"))
                .hint("`heddle status` shows whether it runs; try again")
                .into()),
        }
    }

    /// What a worker is asked; waits up to `wait` for a first question.
    pub async fn questions(&self, worker: WorkerId, wait: Duration) -> Result<Questions> {
        self.worker_seen(worker).await?;
        let desk = &self.inner.questions;
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        loop {
            // Subscribed before looking, so that nothing falls in between.
            let mut asked = pin!(desk.asked.notified());
            asked.as_mut().enable();
            let questions = desk.with(|state| state.open.remove(&worker)).unwrap_or_default();
            if !questions.is_empty() || timeout_at(deadline, asked).await.is_err() {
                return Ok(Questions { questions });
            }
        }
    }

    /// An answer that nobody waits for any more is dropped.
    pub async fn answer(&self, worker: WorkerId, answer: Answer) -> Result<()> {
        if self.claims.worker.is_some_and(|speaks| speaks != worker) {
            return Err(Refusal::not_found("worker", worker).hint("a worker answers for itself").into());
        }
        let waiting = self.inner.questions.with(|state| match state.waiting.get(&answer.id) {
            Some((asked, _)) if *asked == worker => state.waiting.remove(&answer.id),
            _ => None,
        });
        if let Some((_, sender)) = waiting {
            // Its receiver may have given up just now.
            let _ = sender.send(answer.lines);
        }
        Ok(())
    }
}

//! What control does on its own: reconcilers that read state and move it one
//! step. Each is a function that returns its outcome, shared by the loop and
//! the tests.

pub mod alert;
pub mod api_key;
pub mod approval;
pub mod audit;
pub mod backup;
pub mod cluster;
pub mod event;
pub mod lease;
pub mod peek;
pub mod queue;
pub mod schedule;
pub mod session;
pub mod snapshot;
pub mod worker;

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Control, Result};

type Tick = for<'a> fn(&'a Control) -> Pin<Box<dyn Future<Output = Result<Option<String>>> + Send + 'a>>;

struct Reconciler {
    name: &'static str,
    every: Duration,
    tick: Tick,
}

macro_rules! reconcilers {
    ($($name:ident every $seconds:literal,)*) => {
        &[$(Reconciler {
            name: stringify!($name),
            every: Duration::from_secs($seconds),
            tick: |control| Box::pin(async move { Ok(said($name::tick(control).await?)) }),
        }),*]
    };
}

/// On an error each is tried again at its next turn; cancelled, each ends
/// between two turns.
const RECONCILERS: &[Reconciler] = reconcilers! {
    lease every 1,
    approval every 2,
    peek every 1,
    queue every 1,
    schedule every 1,
    audit every 5,
    worker every 5,
    alert every 15,
    backup every 15,
    snapshot every 30,
    cluster every 20,
    session every 600,
    event every 3600,
    api_key every 10,
};

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    RECONCILERS.iter().map(|reconciler| reconciler.name)
}

/// Runs every reconciler at its own pace until cancelled.
pub async fn run(control: Control, cancel: CancellationToken) {
    let mut loops = JoinSet::new();
    for reconciler in RECONCILERS {
        loops.spawn(repeat(reconciler, control.clone(), cancel.clone()));
    }
    while let Some(ended) = loops.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a reconciler ended");
        }
    }
}

async fn repeat(reconciler: &Reconciler, control: Control, cancel: CancellationToken) {
    let name = reconciler.name;
    let mut failing = false;
    // Control may have been down for longer than a lease lives: workers are
    // given the time to be heard before their runs are taken from them.
    let _ = tokio::time::timeout(control.settings().lease, cancel.cancelled()).await;
    while !cancel.is_cancelled() {
        match (reconciler.tick)(&control).await {
            Ok(outcome) => {
                failing = false;
                if let Some(outcome) = outcome {
                    tracing::info!(reconciler = name, "{outcome}");
                }
            }
            Err(error) => {
                control.metrics().reconcile_failed(name);
                let error = daemon::telemetry::causes(&error);
                // Said once, not at every turn.
                match failing {
                    true => tracing::debug!(reconciler = name, error, "still failing"),
                    false => tracing::error!(reconciler = name, error, "reconcile"),
                }
                failing = true;
            }
        }
        let _ = tokio::time::timeout(reconciler.every, cancel.cancelled()).await;
    }
}

/// What to log of an outcome: nothing when nothing was done.
fn said<T: Debug + Default + PartialEq>(outcome: T) -> Option<String> {
    (outcome != T::default()).then(|| format!("{outcome:?}"))
}

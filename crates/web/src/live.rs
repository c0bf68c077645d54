//! Live streams as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::Extension;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use control::Control;
use futures::stream::{self, Stream, StreamExt};
use model::RunId;
use model::run::RunState;
use protocol::api::{Run, RunEvent};
use serde::Deserialize;
use tokio::sync::watch;

use crate::failure::{Answer, Failure};

/// How long one look at a run waits for news.
const WAIT: Duration = Duration::from_secs(10);

/// How often a page that nothing notifies about is looked at again.
const LOOK: Duration = Duration::from_secs(1);

/// A page's stream ends after this long, so that the browser shows its session
/// again: one that has ended meanwhile is not told anything more.
pub(crate) const SESSION_CHECK: Duration = Duration::from_secs(60);

/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(1);

/// Turns true when the server is shutting down; streams end then.
#[derive(Clone)]
pub(crate) struct Closing(pub watch::Receiver<bool>);

/// Resolves when the server shuts down; never where nobody said how it would.
async fn closed(closing: Option<Extension<Closing>>) {
    match closing {
        Some(Extension(Closing(mut signal))) => {
            let _ = signal.wait_for(|closing| *closing).await;
        }
        None => std::future::pending().await,
    }
}

/// Where a stream goes on: after the event of this id.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct After {
    #[serde(default)]
    pub after: i64,
}

impl After {
    /// A browser that connects again says the last id it saw in a header.
    pub fn or_header(&self, headers: &HeaderMap) -> Answer<i64> {
        let Some(last) = headers.get("last-event-id") else {
            return self.known();
        };
        let last = last.to_str().ok().and_then(|text| text.trim().parse::<i64>().ok());
        let last = last.filter(|last| *last >= 0).ok_or_else(|| {
            Failure::invalid("Last-Event-ID must be the id of one of the run's events")
                .hint("Leave it out to begin at the first.")
        })?;
        Ok(last.max(self.known()?))
    }

    pub fn known(&self) -> Answer<i64> {
        if self.after < 0 {
            return Err(Failure::invalid(format!("{} is no event's id", self.after))
                .hint("Leave out after to begin at the first."));
        }
        Ok(self.after)
    }
}

/// One look at a run: what it is now, and its events since the last look.
pub(crate) struct Look {
    pub run: Run,
    pub events: Vec<RunEvent>,
    /// Nothing will follow.
    pub last: bool,
}

/// Follows a run from `after` to its end. Ends early, and logs why, when
/// control fails: the client connects again where it left off.
fn follow(control: Control, run: RunId, after: i64) -> impl Stream<Item = Look> {
    struct Follower {
        after: i64,
        seen: Option<RunState>,
        done: bool,
    }
    let start = Follower { after, seen: None, done: false };
    stream::unfold((control, start), move |(control, mut at)| async move {
        if at.done {
            return None;
        }
        match control.follow_run(run, at.after, at.seen, WAIT).await {
            Ok((seen, events)) => {
                at.done = events.is_empty() && seen.state.ended();
                at.seen = Some(seen.state);
                at.after = events.last().map_or(at.after, |event| event.id);
                Some((Look { run: seen, events, last: at.done }, (control, at)))
            }
            Err(error) => {
                tracing::warn!(%run, %error, "a run's live stream ended early");
                None
            }
        }
    })
}

/// A run as server-sent events; `write` says how one look at it is told. Ends
/// after `limit` all the same.
pub(crate) fn run<W>(
    control: Control,
    id: RunId,
    after: i64,
    closing: Option<Extension<Closing>>,
    limit: Option<Duration>,
    mut write: W,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
where
    W: FnMut(Look) -> Vec<Event> + Send + 'static,
{
    let hello = stream::once(async { Event::default().retry(RETRY) });
    let told = follow(control, id, after).flat_map(move |look| stream::iter(write(look)));
    sse(hello.chain(told), closing, limit)
}

/// Looks every second and tells the parts of a page that have changed. `look`
/// gives each part's name and its HTML.
pub(crate) fn page<L, F>(
    closing: Option<Extension<Closing>>,
    look: L,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
where
    L: Fn() -> F + Send + 'static,
    F: Future<Output = Answer<Vec<(&'static str, String)>>> + Send,
{
    every(LOOK, closing, look)
}

/// The same at another pace.
pub(crate) fn every<L, F>(
    pace: Duration,
    closing: Option<Extension<Closing>>,
    look: L,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
where
    L: Fn() -> F + Send + 'static,
    F: Future<Output = Answer<Vec<(&'static str, String)>>> + Send,
{
    struct Watcher<L> {
        look: L,
        told: Vec<(&'static str, String)>,
        queue: VecDeque<Event>,
        first: bool,
    }
    let start = Watcher {
        look,
        told: Vec::new(),
        queue: VecDeque::from([Event::default().retry(RETRY)]),
        first: true,
    };
    let events = stream::unfold(start, move |mut watcher| async move {
        loop {
            if let Some(event) = watcher.queue.pop_front() {
                return Some((event, watcher));
            }
            if !std::mem::replace(&mut watcher.first, false) {
                tokio::time::sleep(pace).await;
            }
            let parts = match (watcher.look)().await {
                Ok(parts) => parts,
                Err(failure) => {
                    tracing::warn!(?failure, "a page's live stream ended early");
                    return None;
                }
            };
            for part in &parts {
                if !watcher.told.contains(part) {
                    watcher.queue.push_back(Event::default().event(part.0).data(&part.1));
                }
            }
            watcher.told = parts;
        }
    });
    sse(events, closing, Some(SESSION_CHECK))
}

fn sse(
    events: impl Stream<Item = Event> + Send + 'static,
    closing: Option<Extension<Closing>>,
    limit: Option<Duration>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let over = async move {
        match limit {
            Some(limit) => {
                let _ = tokio::time::timeout(limit, closed(closing)).await;
            }
            None => closed(closing).await,
        }
    };
    let events = events.map(Ok).take_until(Box::pin(over));
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(10)))
}

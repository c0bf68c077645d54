//! The long-lived tasks of a process: each has a name and a policy.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::shutdown::Shutdown;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A task that ran this long had started well; its next pause is the first again.
const WELL: Duration = Duration::from_secs(60);
/// Between two lines that name who is waited for.
const NAME_AGAIN: Duration = Duration::from_secs(2);

/// What an error or a panic of a task leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The whole process shuts down, and [`Tasks::drain`] reports the failure.
    EndProcess,
    /// It is logged and the task is started again, after a pause from 0.2 s
    /// doubling to 30 s.
    Restart,
}

/// Runs tasks until the shutdown. Clones are the same list.
///
/// On cancel: a task watches the [`Shutdown`] it is given and returns when it
/// has brought its work to an end. One that has not when the grace of `drain`
/// is over is dropped where it stands.
#[derive(Debug, Clone)]
pub struct Tasks {
    shutdown: Shutdown,
    list: Arc<List>,
}

#[derive(Debug, Default)]
struct List {
    inside: Mutex<Inside>,
    one_ended: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    running: BTreeMap<u64, (&'static str, JoinHandle<()>)>,
    failed: Option<Failure>,
}

/// The first task that made the process end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task {task} failed: {error}")]
pub struct Failure {
    pub task: &'static str,
    /// The error with its causes, or the panic's message.
    pub error: String,
}

/// How the tasks came to an end.
#[derive(Debug, PartialEq, Eq)]
pub struct Drained {
    pub failed: Option<Failure>,
    /// Who had not ended within the grace and was dropped.
    pub dropped: Vec<&'static str>,
}

impl Tasks {
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, list: Arc::default() }
    }

    /// Starts a task. `make` is called again for each restart. A task that
    /// returns Ok has ended for good, shutdown or not.
    pub fn spawn<F, E>(
        &self,
        name: &'static str,
        on_error: OnError,
        mut make: impl FnMut(Shutdown) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let (shutdown, list) = (self.shutdown.clone(), Arc::clone(&self.list));
        let mut inside = self.list.inside();
        let id = inside.next;
        inside.next += 1;
        let task = async move {
            let done = Done { id, list: Arc::clone(&list) };
            let mut pause = FIRST_PAUSE;
            loop {
                let since = Instant::now();
                let Err(error) = attempt(make(shutdown.clone())).await else { break };
                match on_error {
                    OnError::EndProcess => {
                        tracing::error!(task = name, error, "task failed; the process ends");
                        list.inside().failed.get_or_insert(Failure { task: name, error });
                        shutdown.begin();
                        break;
                    }
                    // It would only have to end again.
                    OnError::Restart if shutdown.has_begun() => {
                        tracing::warn!(task = name, error, "task failed while it was ending");
                        break;
                    }
                    OnError::Restart => {
                        if since.elapsed() >= WELL {
                            pause = FIRST_PAUSE;
                        }
                        let again_in = pause.as_secs_f32();
                        tracing::error!(task = name, error, again_in, "task failed; it is started again");
                        if timeout(pause, shutdown.begun()).await.is_ok() {
                            break;
                        }
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
            drop(done);
        };
        // Under the list's lock, so that the task cannot end before it is on it.
        inside.running.insert(id, (name, tokio::spawn(task)));
    }

    /// The names of those that run, in the order they were started.
    pub fn running(&self) -> Vec<&'static str> {
        self.list.inside().running.values().map(|(name, _)| *name).collect()
    }

    /// Waits for the shutdown to begin, then for all tasks to end, for at most
    /// `grace`, and names in the log whom it waits for.
    pub async fn drain(&self, grace: Duration) -> Drained {
        self.shutdown.begun().await;
        let until = Instant::now() + grace;
        let mut name_at = Instant::now() + NAME_AGAIN.min(grace / 2);
        loop {
            let ended = self.list.one_ended.notified();
            let mut ended = pin!(ended);
            // Listen before looking.
            ended.as_mut().enable();
            let waiting_for = self.running();
            let now = Instant::now();
            if waiting_for.is_empty() || now >= until {
                break;
            }
            if now >= name_at {
                tracing::info!(tasks = waiting_for.join(", "), "waiting for tasks to end");
                name_at = now + NAME_AGAIN;
            }
            tokio::select! {
                () = ended => {}
                () = sleep(until.min(name_at) - now) => {}
            }
        }
        let mut inside = self.list.inside();
        let late = std::mem::take(&mut inside.running);
        let dropped: Vec<_> = late.values().map(|(name, _)| *name).collect();
        for (_, task) in late.into_values() {
            task.abort();
        }
        if !dropped.is_empty() {
            tracing::warn!(
                tasks = dropped.join(", "),
                grace = grace.as_secs_f32(),
                "tasks did not end; dropped"
            );
        }
        Drained { failed: inside.failed.clone(), dropped }
    }
}

impl List {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a task off the list, however it ends.
struct Done {
    id: u64,
    list: Arc<List>,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.list.inside().running.remove(&self.id);
        self.list.one_ended.notify_waiters();
    }
}

/// Runs a task in one of its own, so that its panic is an error like others.
async fn attempt<E: Display + Send + 'static>(
    task: impl Future<Output = Result<(), E>> + Send + 'static,
) -> Result<(), String> {
    let mut task = AbortOnDrop(tokio::spawn(task));
    match (&mut task.0).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(ended) => Err(match ended.try_into_panic() {
            Ok(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                format!("panic: {}", text.unwrap_or("of an unknown kind"))
            }
            Err(cancelled) => cancelled.to_string(),
        }),
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    type Outcome = Result<(), String>;

    fn tasks() -> (Shutdown, Tasks) {
        let shutdown = Shutdown::new();
        (shutdown.clone(), Tasks::new(shutdown))
    }

    #[tokio::test]
    async fn all_are_waited_for() {
        let (shutdown, tasks) = tasks();
        for name in ["one", "two"] {
            tasks.spawn(name, OnError::EndProcess, |shutdown| async move {
                shutdown.begun().await;
                sleep(Duration::from_millis(50)).await;
                Outcome::Ok(())
            });
        }
        assert_eq!(tasks.running(), ["one", "two"]);
        shutdown.begin();
        let drained = tasks.drain(Duration::from_secs(10)).await;
        assert_eq!(drained, Drained { failed: None, dropped: vec![] });
        assert!(tasks.running().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_late_are_named_and_dropped() {
        struct Flag(Arc<AtomicU32>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (shutdown, tasks) = tasks();
        let dropped = Arc::new(AtomicU32::new(0));
        let flag = Arc::clone(&dropped);
        tasks.spawn("late", OnError::Restart, move |_| {
            let flag = Flag(Arc::clone(&flag));
            async move {
                let _flag = flag;
                std::future::pending::<Outcome>().await
            }
        });
        tasks.spawn("quick", OnError::Restart, |shutdown| async move {
            shutdown.begun().await;
            Outcome::Ok(())
        });
        shutdown.begin();
        assert_eq!(tasks.drain(Duration::from_secs(5)).await.dropped, ["late"]);
        // What it held is freed.
        sleep(Duration::from_millis(1)).await;
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_error_ends_the_process_and_the_first_is_told() {
        let (shutdown, tasks) = tasks();
        tasks.spawn("waits", OnError::EndProcess, |shutdown| async move {
            shutdown.begun().await;
            Outcome::Err("because of the other".to_owned())
        });
        tasks.spawn("fails", OnError::EndProcess, |_| async { Outcome::Err("no more room".to_owned()) });
        let drained = tasks.drain(Duration::from_secs(10)).await;
        assert!(shutdown.has_begun());
        assert_eq!(drained.failed.unwrap().to_string(), "task fails failed: no more room");
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let (_, tasks) = tasks();
        tasks.spawn("panics", OnError::EndProcess, |_| async {
            let nothing: Option<u32> = None;
            nothing.map(|_| Outcome::Ok(())).expect("something")
        });
        let drained = tasks.drain(Duration::from_secs(10)).await;
        assert_eq!(drained.failed.unwrap().error, "panic: something");
    }

    #[tokio::test(start_paused = true)]
    async fn restarts_back_off_and_end_with_the_shutdown() {
        let (shutdown, tasks) = tasks();
        let starts = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&starts);
        tasks.spawn("flaps", OnError::Restart, move |_| {
            seen.lock().unwrap().push(Instant::now());
            async { Outcome::Err("again".to_owned()) }
        });
        sleep(Duration::from_secs(200)).await;
        shutdown.begin();
        assert!(tasks.drain(Duration::from_secs(1)).await.dropped.is_empty());
        let starts = starts.lock().unwrap();
        let pauses: Vec<f64> = starts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        for (pause, expected) in pauses.iter().zip([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]) {
            assert!((pause - expected).abs() < 0.05, "{pauses:?}");
        }
    }

    #[tokio::test]
    async fn one_that_is_done_is_not_started_again() {
        let (shutdown, tasks) = tasks();
        tasks.spawn("once", OnError::Restart, |_| async { Outcome::Ok(()) });
        sleep(Duration::from_millis(20)).await;
        assert!(tasks.running().is_empty());
        assert!(!shutdown.has_begun());
    }
}

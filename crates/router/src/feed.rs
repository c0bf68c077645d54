//! Keeps the route table as control has it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use protocol::client::{Client, ClientError};
use protocol::internal::Routes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::table::{self, Table};

/// How long control may wait for a change before it answers with none.
const WAIT: Duration = Duration::from_secs(25);
/// Beyond the wait; then control is taken for gone.
const OVERDUE: Duration = Duration::from_secs(5);
const BACK_OFF: Duration = Duration::from_millis(100);
const BACK_OFF_MOST: Duration = Duration::from_secs(3);
/// Answers that bring nothing come no faster than this.
const QUIET: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error("ask control for the route table")]
    Ask(#[source] ClientError),
    #[error("get control's answer about the route table in time")]
    Overdue,
}

pub(crate) struct Feed {
    pub(crate) control: Client,
    pub(crate) file: PathBuf,
    pub(crate) table: watch::Sender<Arc<Table>>,
}

impl Feed {
    /// Follows control until it is dropped. While control is away, the table
    /// stays as it is.
    pub(crate) async fn run(self) {
        // What the file says is served, but not believed: the first question
        // asks for everything.
        let mut after = None::<String>;
        let mut back_off = BACK_OFF;
        let mut away = false;
        loop {
            let asked = Instant::now();
            match self.ask(after.as_deref()).await {
                Ok(routes) => {
                    if std::mem::take(&mut away) {
                        tracing::info!("control answers again");
                    }
                    back_off = BACK_OFF;
                    if after.as_ref() == Some(&routes.version) {
                        tokio::time::sleep_until(asked + QUIET).await;
                    } else {
                        after = Some(routes.version.clone());
                        self.take(routes).await;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut away, true) {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "control does not answer; the last good route table is served"
                        );
                    }
                    tokio::time::sleep(back_off).await;
                    back_off = (back_off * 2).min(BACK_OFF_MOST);
                }
            }
        }
    }

    async fn ask(&self, after: Option<&str>) -> Result<Routes, FeedError> {
        let mut path = format!("/internal/routes?wait_ms={}", WAIT.as_millis());
        if let Some(after) = after {
            path.push_str("&after=");
            path.extend(utf8_percent_encode(after, NON_ALPHANUMERIC));
        }
        match tokio::time::timeout(WAIT + OVERDUE, self.control.get(&path)).await {
            Ok(answer) => answer.map_err(FeedError::Ask),
            Err(_) => Err(FeedError::Overdue),
        }
    }

    /// Serves a new table at once, then makes it outlive the router.
    async fn take(&self, routes: Routes) {
        let table = Arc::new(Table::new(routes.clone()));
        tracing::debug!(version = table.version(), hosts = table.len(), "serve a new route table");
        self.table.send_replace(table);
        let file = self.file.clone();
        let saved = tokio::task::spawn_blocking(move || table::save(&file, &routes)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the new route table is served, but would not outlive the router"
            );
        }
    }
}

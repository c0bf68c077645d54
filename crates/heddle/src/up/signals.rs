//! Being told to stop.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::failure::Failure;

/// A terminal's Ctrl-C reaches a whole group of processes, and one of them may
/// pass it on: what comes so soon after the first is the same wish.
const SAME: Duration = Duration::from_millis(1000);

pub struct Signals {
    kinds: [Signal; 3],
    last: Option<Instant>,
}

impl Signals {
    pub fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::while_trying("listen for signals", &error));
        Ok(Self {
            kinds: [
                listen(SignalKind::interrupt())?,
                listen(SignalKind::terminate())?,
                listen(SignalKind::hangup())?,
            ],
            last: None,
        })
    }

    /// The next wish to stop. Safe to drop.
    pub async fn next(&mut self) {
        loop {
            let [interrupt, terminate, hangup] = &mut self.kinds;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            let now = Instant::now();
            if self.last.is_none_or(|last| now - last > SAME) {
                self.last = Some(now);
                return;
            }
        }
    }
}

//! Waiting for a process that is nobody's child, without a thread.

use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::proctable::Process;

/// Waits for the end of a process; false when the time is over. None: for ever.
pub async fn ended(process: Process, time: Option<Duration>) -> io::Result<bool> {
    let Some(handle) = process.open()? else { return Ok(true) };
    // SAFETY: the descriptor is owned, so it stays open and the same until the AsyncFd is dropped with it.
    let fd = unsafe { AsyncFd::register_with_interest(handle.into_fd(), Interest::READABLE) }?;
    let end = async { fd.readable().await.map(|_| true) };
    match time {
        None => end.await,
        Some(time) => tokio::time::timeout(time, end).await.unwrap_or(Ok(false)),
    }
}

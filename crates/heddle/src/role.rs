//! What control, worker and router have in common as processes.

use clap::Args;
use daemon::shutdown;
use daemon::telemetry;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

#[derive(Debug, Clone, Copy, Args)]
pub struct Parent {
    /// The `heddle up` that this process ends with
    #[arg(long = "parent", value_name = "PID", hide = true)]
    pid: Option<i32>,
}

impl Parent {
    /// From now on the parent's death ends this process, however it dies.
    fn follow(self) -> Result<(), Failure> {
        let Some(parent) = self.pid.and_then(Pid::from_raw) else { return Ok(()) };
        set_parent_process_death_signal(Some(Signal::TERM))
            .map_err(|error| Failure::while_trying("follow the parent process", &error))?;
        // It may have died before.
        if getppid() == Some(parent) {
            return Ok(());
        }
        Err(Failure::new(Exit::Failed, "orphaned", "the `heddle up` that started this has ended"))
    }
}

/// Begins a role: its log, its parent, its end.
pub fn start(name: &'static str, parent: Parent, context: &Context) -> Result<CancellationToken, Failure> {
    let settings = &context.settings;
    telemetry::init(settings.log_format, &settings.log)
        .map_err(|error| Failure::while_trying("start the log", &error).hint("see HEDDLE_LOG"))?;
    parent.follow()?;
    let mut signals =
        shutdown::signals().map_err(|error| Failure::while_trying("listen for signals", &error))?;
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        let signal = signals.next().await;
        tracing::info!(role = name, %signal, "shutting down");
        asked.cancel();
        let signal = signals.next().await;
        tracing::warn!(role = name, %signal, "asked again; ending at once");
        std::process::exit(i32::from(Exit::Interrupted.code()));
    });
    tracing::info!(role = name, version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), "started");
    Ok(shutdown)
}

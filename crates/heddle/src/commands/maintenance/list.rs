use clap::Args;
use protocol::api::MaintenanceWindow;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{facts, table};
use crate::time::local;

/// List maintenance windows, and whether they are open
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle maintenance list demo")]
pub struct List {
    /// Only this project's
    project: Option<String>,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let windows = context.api()?.maintenance_windows(self.project.as_deref()).await?;
        context.output.result(&windows, |windows| {
            let rows = windows.iter().map(|window| {
                [
                    format!("{}/{}", window.project, window.name),
                    window.environment.clone().unwrap_or_else(|| "all".into()),
                    window.cron.clone(),
                    window.zone.clone(),
                    format!("{} min", window.minutes),
                    opening(window),
                ]
            });
            let empty = "No maintenance windows: nothing waits for one.";
            table(["window", "of", "cron", "zone", "for", "is"], rows, empty)
        })
    }
}

fn opening(window: &MaintenanceWindow) -> String {
    match (window.open_until, window.opens_at) {
        (Some(until), _) => format!("open until {}", local(until)),
        (None, Some(at)) => format!("opens {}", local(at)),
        (None, None) => String::new(),
    }
}

pub fn text(window: &MaintenanceWindow) -> String {
    facts([
        ("window", format!("{}/{}", window.project, window.name)),
        ("of", window.environment.clone().unwrap_or_else(|| "all environments".into())),
        ("cron", window.cron.clone()),
        ("zone", window.zone.clone()),
        ("for", format!("{} min", window.minutes)),
        ("is", opening(window)),
    ])
}

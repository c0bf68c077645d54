//! Answers control's questions about what only this host has.

use std::sync::Arc;

use daemon::shutdown::Shutdown;
use model::WorkerId;
use protocol::internal::{Answer, Ask, LogSource, Questions};

use crate::failure::Failure;
use crate::host::Host;
use crate::layout::{cell_program, odoo_program};

/// Lines that one question gets at most.
const LINES: u32 = 5_000;

pub async fn run(host: Arc<Host>, worker: WorkerId, shutdown: Shutdown) -> Result<(), Failure> {
    let path = format!("/internal/workers/{worker}/questions?wait_ms=20000");
    loop {
        let asked = tokio::select! {
            asked = host.control.get::<Questions>(&path) => asked,
            () = shutdown.begun() => return Ok(()),
        };
        let questions = match asked {
            Ok(Questions { questions }) => questions,
            Err(error) => {
                tracing::debug!(%error, "no questions heard");
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                continue;
            }
        };
        for question in questions {
            let lines = answer(&host, question.ask).await;
            let answer = Answer { id: question.id, lines };
            let path = format!("/internal/workers/{worker}/answers");
            if let Err(error) = host.control.post::<serde_json::Value>(&path, &answer).await {
                tracing::debug!(%error, "an answer was not heard");
            }
        }
    }
}

async fn answer(host: &Host, ask: Ask) -> Vec<String> {
    let Ask::TenantLog { lineage, source, lines, .. } = ask;
    let program = match source {
        LogSource::Odoo => odoo_program(lineage),
        LogSource::Cluster => cell_program(lineage),
    };
    let lines = lines.min(LINES) as usize;
    host.driver.log_tail(&program, lines).await.unwrap_or_else(|error| vec![format!("no log: {error}")])
}

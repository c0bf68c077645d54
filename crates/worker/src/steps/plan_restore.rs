//! Finds out how a restore would go. Changes nothing but that the WAL so far is
//! made durable.

use std::time::Duration;

use jiff::Timestamp;
use model::RestoreId;
use model::archive::History;
use model::restore::{Plan, Stop, Target};
use protocol::api::{PlannedLineage, RestorePlan};
use protocol::internal::{Fact, TenantWork};

use crate::cell::Cell;
use crate::failure::{Doing, Failure};
use crate::host::Host;
use crate::report::Run;

/// How long every second of a tenant is kept.
pub fn retention(tenant: &TenantWork) -> Duration {
    Duration::from_secs(u64::from(tenant.retention_days) * 24 * 60 * 60)
}

pub async fn execute(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    restore: RestoreId,
    target: Target,
) -> Result<(), Failure> {
    let cell = Cell::serving(host, tenant)?;
    let now = Timestamp::now();
    let archive = cell.archive();
    let reached = match cell.connect().await {
        Ok(client) => Some(cell.flush(&client).await?),
        Err(failure) => {
            // It cannot be started, which may be why somebody restores it.
            run.warn(format!("The cell does not run ({}); taking its WAL from its folder", failure.reason()));
            cell.stop().await?;
            let data_dir = host.layout.cell(tenant.tenant, cell.lineage());
            match data_dir.exists() {
                true => {
                    let taken = archive.take_pg_wal(cell.lineage(), &data_dir).await;
                    taken.doing("take the stopped cell's WAL")?;
                }
                // What the repository has is all there is.
                false => run.warn("Its data directory is gone: what is not in the repository is lost"),
            }
            None
        }
    };
    let report = archive.sync_filestore(&cell.filestore()).await.doing("keep the filestore's files")?;
    run.info(format!("{} new files kept, {} were there", report.kept, report.already));
    let mut inventory = archive.history().await.doing("read the history")?;
    for finding in &inventory.findings {
        run.warn(finding.to_string());
    }
    if !inventory.history.activations.iter().any(|known| known.lineage == cell.lineage()) {
        // By the history alone, its time would be another lineage's.
        return Err(Failure::new("it is not recorded since when the present cell is served")
            .hint("the run that made the cell did not end; see `heddle run list`, and retry it"));
    }
    if let Some(lsn) = reached {
        inventory.history.note_reached(cell.lineage(), lsn);
    }
    let history = inventory.history;
    let plan = model::restore::plan(&history, target, now, retention(tenant))
        .map_err(|error| Failure::new(error.to_string()))?;
    let shown = show(&history, &plan, tenant, cell.lineage().0)?;
    for step in &shown.steps {
        run.info(step.clone());
    }
    run.record(Fact::RestorePlanned { restore, plan, shown }).await?;
    run.progress(1.0, "The plan is made");
    Ok(())
}

fn show(
    history: &History,
    plan: &Plan,
    tenant: &TenantWork,
    current: uuid::Uuid,
) -> Result<RestorePlan, Failure> {
    let backup = history
        .backups
        .iter()
        .find(|backup| backup.id == plan.backup)
        .ok_or_else(|| Failure::new("the plan's backup is not in the history"))?;
    let lineages: Vec<PlannedLineage> = plan
        .wal
        .iter()
        .map(|range| PlannedLineage {
            lineage: range.lineage.0,
            timeline: range.timeline.0,
            from: range.from.to_string(),
            to: range.to.to_string(),
        })
        .collect();
    let wal_bytes = plan.wal.iter().map(|range| range.to.0.saturating_sub(range.from.0)).sum();
    let mut steps = vec![format!(
        "Copy base backup {} ({} MB, of {:.0}) beside the serving cell",
        backup.id,
        backup.size >> 20,
        backup.stopped_at
    )];
    for range in &lineages {
        steps.push(format!(
            "Replay lineage {} (timeline {}) from {} to at most {}",
            range.lineage, range.timeline, range.from, range.to
        ));
    }
    steps.push(match &plan.stop {
        Stop::Name { lsn, .. } => format!("Stop at the snapshot's point, {lsn}"),
        Stop::Time(at) => format!("Stop before the first commit after {at}"),
        Stop::Lsn(lsn) => format!("Stop before {lsn}"),
        Stop::Consistent => "Stop as soon as the base backup is consistent".to_owned(),
        Stop::End => "Stop at the end of the WAL".to_owned(),
    });
    steps.push("Give back the attachments that the database names, each checked by its SHA-1".to_owned());
    steps.push(format!(
        "Stop {}'s Odoo, stop and fence its present cell (kept, lineage {current})",
        tenant.name
    ));
    steps.push(format!("Point {} at the new cell, on a new lineage, and start its Odoo there", tenant.name));
    Ok(RestorePlan {
        source_lineage: plan.source.0,
        current_lineage: current,
        backup: backup.id.0,
        backup_taken_at: backup.stopped_at,
        backup_bytes: backup.stored,
        wal_bytes,
        lineages,
        steps,
    })
}

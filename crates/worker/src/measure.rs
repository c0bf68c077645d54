//! Tells control now and then how full the disks are, how much WAL the cells
//! keep, and how far behind them the repository is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use archive::Streamed;
use daemon::shutdown::Shutdown;
use model::alert::Place;
use model::{TenantId, WorkerId};
use protocol::internal::{Observed, ObservedDisk, ObservedStream, ObservedWal};

use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking};

const EVERY: Duration = Duration::from_secs(30);

pub async fn run(host: Arc<Host>, worker: WorkerId, shutdown: Shutdown) -> Result<(), Failure> {
    loop {
        if let Err(failure) = tell(&host, worker).await {
            tracing::debug!("cannot tell what was measured: {}", failure.reason());
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.begun() => return Ok(()),
        }
    }
}

async fn tell(host: &Host, worker: WorkerId) -> Result<(), Failure> {
    let cells: Vec<(TenantId, PathBuf)> = host
        .assignments(worker)
        .await?
        .into_iter()
        .filter_map(|tenant| {
            let placed = tenant.placed?;
            Some((tenant.tenant, host.layout.cell(tenant.tenant, placed.lineage)))
        })
        .collect();
    let places =
        [(Place::Data, host.layout.data.clone()), (Place::Repository, host.repository.root().to_owned())];
    let mut observed = blocking(move || {
        Ok(Observed {
            disks: places.iter().filter_map(|(place, folder)| disk(*place, folder)).collect(),
            wal: cells.iter().filter_map(|(tenant, cell)| wal(*tenant, cell)).collect(),
            ..Observed::default()
        })
    })
    .await?;
    for wal in &mut observed.wal {
        wal.stream = host.streams.told(wal.tenant).map(|told| stream(&told));
    }
    host.control
        .post::<serde_json::Value>(&format!("/internal/workers/{worker}/observed"), &observed)
        .await
        .doing("tell control what was measured")?;
    Ok(())
}

/// As `df` counts: without what only root may still fill.
fn disk(place: Place, folder: &Path) -> Option<ObservedDisk> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let free = found.f_bavail * found.f_frsize;
    let used = found.f_blocks.saturating_sub(found.f_bfree) * found.f_frsize;
    Some(ObservedDisk { place, total: used + free, free })
}

/// None: there is no cell, or it is being moved away.
fn wal(tenant: TenantId, cell: &Path) -> Option<ObservedWal> {
    let mut bytes = 0;
    for entry in fs::read_dir(cell.join("pg_wal")).ok()? {
        // A segment may be recycled in between.
        let Ok(found) = entry.and_then(|entry| entry.metadata()) else { continue };
        if found.is_file() {
            bytes += found.len();
        }
    }
    Some(ObservedWal { tenant, bytes, stream: None })
}

fn stream(told: &Streamed) -> ObservedStream {
    ObservedStream {
        connected: told.connected,
        lag_bytes: told.lag_bytes(),
        lag_ms: u64::try_from(told.lag().as_millis()).unwrap_or(u64::MAX),
        slots_lost: told.slots_lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_less_free_than_it_has() {
        let disk = disk(Place::Data, Path::new("/")).unwrap();
        assert!(disk.total > 0 && disk.free <= disk.total, "{disk:?}");
        assert!(super::disk(Place::Data, Path::new("/nonexistent")).is_none());
    }

    #[test]
    fn segments_are_counted_and_nothing_else() {
        let cell = tempfile::tempdir().unwrap();
        let tenant = TenantId::new();
        assert_eq!(wal(tenant, cell.path()), None);
        let folder = cell.path().join("pg_wal");
        fs::create_dir_all(folder.join("archive_status")).unwrap();
        for segment in ["000000010000000000000001", "000000010000000000000002"] {
            fs::write(folder.join(segment), vec![0; 1 << 20]).unwrap();
        }
        assert_eq!(wal(tenant, cell.path()), Some(ObservedWal { tenant, bytes: 2 << 20, stream: None }));
    }
}

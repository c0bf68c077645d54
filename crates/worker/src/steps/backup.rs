//! Takes a base backup of a tenant's cell.

use archive::BackupRequest;
use model::BackupId;
use protocol::internal::{Fact, TenantWork};
use tokio_postgres::Client;

use crate::cell::{Cell, WAL_PATIENCE};
use crate::failure::{Doing, Failure};
use crate::host::Host;
use crate::report::Run;
use crate::steps::snapshot::{attachments, list_files};

pub async fn execute(host: &Host, run: &Run, tenant: &TenantWork) -> Result<(), Failure> {
    let cell = Cell::serving(host, tenant)?;
    let client = cell.connect().await?;
    take(run, &cell, client).await?;
    run.progress(1.0, "The backup is durable");
    Ok(())
}

/// Takes a base backup of a running cell, and records it.
pub async fn take(run: &Run, cell: &Cell<'_>, client: Client) -> Result<(), Failure> {
    let progress = {
        let run = run.clone();
        let mut told = 0;
        std::sync::Mutex::new(move |done: u64, all: u64| {
            // Every tenth is enough for somebody who watches.
            let tenth = done * 10 / all.max(1);
            if tenth > told {
                told = tenth;
                run.progress(
                    done as f64 / all.max(1) as f64 * 0.9,
                    format!("Copied {} of {} MB", done >> 20, all >> 20),
                );
            }
        })
    };
    let request = BackupRequest {
        lineage: cell.lineage(),
        data_dir: cell.cluster(0)?.data_dir,
        client,
        wal_timeout: WAL_PATIENCE,
    };
    let report = move |done, all| {
        if let Ok(mut progress) = progress.lock() {
            progress(done, all);
        }
    };
    // A backup outlives what Odoo cleans up: its files are listed before it is
    // there, and those that came while it was taken afterwards.
    let id = BackupId::new();
    let named = attachments(&cell.connect_database().await?).await?;
    let before = list_files(cell, id.0, &named).await?;
    let base = cell.archive().newest_base(cell.lineage()).await.doing("look for an earlier base backup")?;
    let backup = cell.archive().backup_as(id, request, base, report).await.doing("take a base backup")?;
    let mut all = [named, before.present].concat();
    all.extend(attachments(&cell.connect_database().await?).await?);
    list_files(cell, id.0, &all).await?;
    run.info(format!(
        "{} {}: {} MB, {} MB stored",
        if base.is_some() { "Changes since the last base backup," } else { "Base backup" },
        backup.id,
        backup.size >> 20,
        backup.stored >> 20
    ));
    let manifest =
        cell.archive().manifest(backup.lineage, backup.id).await.doing("read the backup's manifest")?;
    if let Some(page) = manifest.damaged_pages.first() {
        run.warn(format!(
            "{} pages of the cell do not match their checksums, such as the one at byte {} of {}: look at the \
             disk, and restore to a time before it happened",
            manifest.damaged_pages.len(),
            page.at,
            page.path
        ));
    }
    run.record(Fact::BackupCompleted { tenant: cell.tenant, backup }).await?;
    Ok(())
}

//! Names a point in a tenant's history, and proves it durable.

use archive::{FileId, SnapshotMark, SyncReport};
use daemon::fault;
use jiff::Timestamp;
use model::SnapshotId;
use model::archive::SnapshotPoint;
use model::lsn::{Segment, SegmentSize};
use model::restore::Target;
use protocol::internal::{Fact, SnapshotTerms, TenantWork};
use tokio_postgres::Client;

use crate::cell::Cell;
use crate::failure::{Doing, Failure};
use crate::host::Host;
use crate::report::Run;

pub async fn execute(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    name: &str,
    terms: &SnapshotTerms,
) -> Result<(), Failure> {
    let snapshot = terms.snapshot;
    let cell = Cell::serving(host, tenant)?;
    let client = cell.connect_database().await?;
    let archive = cell.archive();
    let known = archive.history().await.doing("read the history")?.history.snapshots;
    let point = match known.into_iter().find(|point| point.id == snapshot) {
        // An attempt that was killed had come so far; its record is final.
        Some(point) => point,
        None => name_point(run, &cell, &client, snapshot, name).await?,
    };
    let missing = keep_files(run, &cell, &client, snapshot).await?;
    fault::reach("snapshot.files").await;
    archive.put_mark(mark(terms)).await.doing("record how long the snapshot is kept")?;
    run.go_on()?;
    archive.put_snapshot(point.clone()).await.doing("record the snapshot")?;
    fault::reach("snapshot.recorded").await;

    // Ready means that it can be restored: a plan must exist.
    let inventory = archive.history().await.doing("read the history")?;
    let plan = model::restore::plan(
        &inventory.history,
        Target::Snapshot(snapshot),
        Timestamp::now(),
        super::plan_restore::retention(tenant),
    )
    .doing("plan a restore of the snapshot")?;
    let timeline = postgres::timeline(&client).await.doing("ask for the timeline")?;
    let wal_file = Segment::before(timeline, point.lsn, SegmentSize::CELL).file_name(SegmentSize::CELL);
    let size = size(&client).await?;
    run.record(Fact::SnapshotReady {
        snapshot,
        lineage: point.lineage,
        lsn: point.lsn,
        wal_file,
        backup: plan.backup,
        size,
        missing_files: missing,
        taken_at: point.at,
    })
    .await?;
    run.progress(1.0, format!("Snapshot {name} is ready"));
    Ok(())
}

/// Writes the point into the WAL, and makes it durable.
async fn name_point(
    run: &Run,
    cell: &Cell<'_>,
    client: &Client,
    snapshot: SnapshotId,
    name: &str,
) -> Result<SnapshotPoint, Failure> {
    // An attempt of its own each time: a name that an earlier one wrote stays in
    // the WAL, and stands for an earlier state.
    let restore_point = SnapshotPoint::restore_point(snapshot, run.attempt);
    let at = Timestamp::now();
    let lsn = postgres::restore_point(client, &restore_point).await.doing("write the restore point")?;
    run.progress(0.3, format!("The point is at {lsn}"));
    fault::reach("snapshot.pointed").await;

    cell.flush(client).await?;
    run.progress(0.6, "Its WAL is in the repository");
    fault::reach("snapshot.wal").await;
    let (lineage, name) = (cell.lineage(), name.to_owned());
    Ok(SnapshotPoint { id: snapshot, lineage, name, restore_point, lsn, at })
}

/// Brings every file that the database names into the repository. Returns how
/// many nobody has: they were lost before.
async fn keep_files(
    run: &Run,
    cell: &Cell<'_>,
    client: &Client,
    snapshot: SnapshotId,
) -> Result<u64, Failure> {
    let named = attachments(client).await?;
    let archive = cell.archive();
    let report = list_files(cell, snapshot.0, &named).await?;
    for finding in &report.findings {
        run.warn(finding.to_string());
    }
    let missing = archive.missing_files(named).await.doing("look for the files that the database names")?;
    if !missing.is_empty() {
        let first = missing.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        run.warn(format!(
            "{} files that the database names are neither in the filestore nor in the repository, such as {first}",
            missing.len()
        ));
    }
    run.progress(0.8, format!("{} new files kept, {} were there", report.kept, report.already));
    Ok(missing.len() as u64)
}

/// Keeps every file of the filestore, and records that they and what the
/// database names belong to a snapshot or backup.
pub async fn list_files(cell: &Cell<'_>, id: uuid::Uuid, named: &[FileId]) -> Result<SyncReport, Failure> {
    let (archive, filestore) = (cell.archive(), cell.filestore());
    let mut report = archive.sync_filestore(&filestore).await.doing("keep the filestore's files")?;
    let mut files = named.to_vec();
    files.extend(&report.present);
    let missing = archive.list_files(id, files.clone()).await.doing("record which files there are")?;
    if !missing.is_empty() {
        // Removed while nobody needed them, and back since: kept again, or lost
        // before all this.
        report = archive.sync_filestore(&filestore).await.doing("keep the filestore's files")?;
        archive.list_files(id, files).await.doing("record which files there are")?;
    }
    Ok(report)
}

/// What is said of a snapshot, for the repository.
pub fn mark(terms: &SnapshotTerms) -> SnapshotMark {
    let SnapshotTerms { snapshot, pinned, expires_at, note, version: _ } = terms.clone();
    SnapshotMark { snapshot, pinned, expires_at: Some(expires_at), note }
}

/// The files that a tenant's database names. Names that are none of Odoo's are
/// left out: they cannot be in a filestore.
pub async fn attachments(client: &Client) -> Result<Vec<FileId>, Failure> {
    let rows = client.query(odoo::sql::attachments_sql(), &[]).await.doing("list the attachments")?;
    Ok(rows.iter().filter_map(|row| row.get::<_, String>(0).parse().ok()).collect())
}

async fn size(client: &Client) -> Result<u64, Failure> {
    let sql = "SELECT pg_database_size(current_database()) \
               + coalesce((SELECT sum(file_size)::bigint FROM ir_attachment WHERE store_fname IS NOT NULL), 0)";
    let row = client.query_one(sql, &[]).await.doing("measure the tenant")?;
    Ok(row.get::<_, i64>(0).max(0) as u64)
}

//! The bracket around an online copy of a cluster's files.

use model::lsn::Lsn;
use tokio_postgres::types::PgLsn;
use tokio_postgres::{Client, Error};

/// A base backup under way. It belongs to one session: if this is dropped, the
/// session ends and PostgreSQL gives the backup up.
pub struct OnlineBackup {
    client: Client,
    start: Lsn,
}

/// What must be stored with the copied files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupStop {
    pub start: Lsn,
    /// WAL up to here must be replayed before the copy is consistent.
    pub stop: Lsn,
    /// To be put into the copy as `backup_label`, byte for byte.
    pub label: String,
    /// To be put into the copy as `tablespace_map` unless empty.
    pub tablespace_map: String,
}

impl OnlineBackup {
    /// Makes a checkpoint at once; from its return on the files may be copied
    /// (all but `pg_wal`, `postmaster.pid` and `postmaster.opts`).
    pub async fn start(client: Client, label: &str) -> Result<Self, Error> {
        let row = client.query_one("SELECT pg_backup_start($1, true)", &[&label]).await?;
        let start: PgLsn = row.try_get(0)?;
        Ok(Self { client, start: Lsn(start.into()) })
    }

    /// Where replay of the backup starts.
    pub fn start_lsn(&self) -> Lsn {
        self.start
    }

    /// Ends the backup. The WAL it needs is switched but not waited for: whoever
    /// calls knows when it is durable.
    pub async fn stop(self) -> Result<BackupStop, Error> {
        let row = self
            .client
            .query_one("SELECT lsn, labelfile, spcmapfile FROM pg_backup_stop(false)", &[])
            .await?;
        let stop: PgLsn = row.try_get(0)?;
        let tablespace_map: Option<String> = row.try_get(2)?;
        Ok(BackupStop {
            start: self.start,
            stop: Lsn(stop.into()),
            label: row.try_get(1)?,
            tablespace_map: tablespace_map.unwrap_or_default(),
        })
    }
}

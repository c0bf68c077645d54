//! Waiting until WAL is in the repository.

use std::time::Duration;

use model::LineageId;
use model::lsn::{Lsn, Segment, WalFile};
use tokio::time::Instant;

use super::push::file_name;
use crate::disk::FileError;
use crate::record::RecordError;
use crate::repository::TenantArchive;

/// Pushes wake whoever waits; this is for WAL that came in another way.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    #[error("lineage {0} is not in the repository")]
    UnknownLineage(LineageId),
    /// `cause` is why the lineage's last push failed, if it did.
    #[error(
        "WAL segment {missing} has not reached the repository in time{}",
        cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default()
    )]
    Deadline { missing: String, cause: Option<String> },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl TenantArchive {
    /// Returns once the repository has the lineage's WAL up to `upto`, without
    /// a gap since its newest backup (or its fork). All of that WAL must have
    /// been switched: the last segment counts only when it is whole.
    pub async fn wait_for_wal(
        &self,
        lineage: LineageId,
        upto: Lsn,
        deadline: Instant,
    ) -> Result<(), WaitError> {
        let from = self.blocking(move |archive| archive.known_from(lineage, upto)).await?;
        self.wait_for_range(lineage, from, upto, deadline).await
    }

    pub(crate) async fn wait_for_range(
        &self,
        lineage: LineageId,
        from: Lsn,
        upto: Lsn,
        deadline: Instant,
    ) -> Result<(), WaitError> {
        let mut arrivals = self.inner.arrivals.subscribe();
        loop {
            arrivals.borrow_and_update();
            let missing = self.blocking(move |archive| archive.missing(lineage, from, upto)).await?;
            let Some(missing) = missing else { return Ok(()) };
            let now = Instant::now();
            if now >= deadline {
                let cause = self.inner.last_error(lineage);
                return Err(WaitError::Deadline { missing, cause });
            }
            let pause = LOOK_AGAIN.min(deadline - now);
            let _ = tokio::time::timeout(pause, arrivals.changed()).await;
        }
    }

    /// Where WAL of the lineage surely was archived from.
    fn known_from(&self, id: LineageId, upto: Lsn) -> Result<Lsn, WaitError> {
        let lineage = self.lineage(id)?.ok_or(WaitError::UnknownLineage(id))?;
        let backup =
            self.backups_of(id)?.into_iter().filter(|backup| backup.stop <= upto).max_by_key(|b| b.stop);
        let fork = lineage.parent.map(|fork| fork.lsn);
        Ok(backup.map(|backup| backup.start).or(fork).unwrap_or(upto))
    }

    /// The first segment of a range that is not there.
    fn missing(&self, id: LineageId, from: Lsn, upto: Lsn) -> Result<Option<String>, WaitError> {
        let lineage = self.lineage(id)?.ok_or(WaitError::UnknownLineage(id))?;
        let (timeline, size) = (lineage.timeline, lineage.segment_size);
        let folder = self.wal_folder(id);
        let last = Segment::before(timeline, upto, size);
        // Up to its fork, and not beyond, a lineage has no WAL of its own.
        if lineage.parent.is_some_and(|fork| last < Segment::at(timeline, fork.lsn, size)) {
            return Ok(None);
        }
        let mut segment = Segment::at(timeline, from, size).min(last);
        // PostgreSQL archives in order: as long as the last is missing there is
        // no need to look at all.
        if !self.inner.store.exists(&folder.join(last.file_name(size)))? {
            return Ok(Some(file_name(&WalFile::Segment(last), size)));
        }
        let names = self.inner.store.names(&folder)?;
        while segment < last {
            let name = segment.file_name(size);
            if names.binary_search(&name).is_err() {
                return Ok(Some(name));
            }
            segment = segment.next();
        }
        // A push that was not acknowledged yet may have only linked its file.
        self.settle_wal(id)?;
        Ok(None)
    }

    /// Makes a lineage's WAL durable, as far as it can be seen.
    pub(super) fn settle_wal(&self, id: LineageId) -> Result<(), FileError> {
        let folder = self.wal_folder(id);
        match self.inner.store.settle(&folder) {
            // Nothing was ever put there.
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(()),
            settled => settled,
        }
    }
}

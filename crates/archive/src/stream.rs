//! A cell's WAL into the repository as it is written, instead of segment by
//! segment: what a commit wrote is durable there a moment later.
//!
//! `archive_command` goes on beside it, and brings the whole segments. So
//! whatever happens to a stream, the archive closes what it left open.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use daemon::telemetry::causes;
use model::LineageId;
use model::archive::Lineage;
use model::lsn::{Lsn, Segment, Timeline, WalFile};
use postgres::{Identified, Received, Replication, ReplicationError, Slot};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::disk::FileError;
use crate::repository::TenantArchive;
use crate::wal::piece::{Chain, Pieces, Range};
use crate::wal::{FetchError, PushError};

/// The slot by which a cell keeps what the repository does not have yet.
const SLOT: &str = "heddle";

/// Between two tries to connect: at first, and at most.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Until the pieces of a segment that has ended are looked at again.
const SWEEP: Duration = Duration::from_secs(1);

/// Segments' worth of WAL that is held until the repository has it. More stays
/// in the cell.
const HELD: usize = 2;

/// How far a stream has come.
#[derive(Debug, Clone, Default)]
pub struct Streamed {
    pub connected: bool,
    /// How far the cell's WAL went when it was last heard of.
    pub reached: Lsn,
    /// How far it is durable in the repository.
    pub durable: Lsn,
    /// Since when there has been WAL that is not, or nobody could tell.
    pub behind_since: Option<Instant>,
    /// How often the cell gave up keeping WAL for the stream.
    pub slots_lost: u64,
    /// Why it broke off last; None while it is connected.
    pub error: Option<String>,
}

impl Streamed {
    /// Bytes of WAL that would be lost with the cell, as far as it was heard of.
    pub fn lag_bytes(&self) -> u64 {
        self.reached.0.saturating_sub(self.durable.0)
    }

    /// For how long there has been such WAL.
    pub fn lag(&self) -> Duration {
        self.behind_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("lineage {0} is not in the repository")]
    UnknownLineage(LineageId),
    #[error("the cell is another cluster than its lineage's (system {found}, timeline {})", timeline.0)]
    OtherCluster { found: u64, timeline: Timeline },
    #[error("the cell sent its WAL from {found}, not from {expected}")]
    Skipped { expected: Lsn, found: Lsn },
    #[error(
        "what was streamed of {segment} is not what the cell has: it is left alone until the whole segment is archived"
    )]
    Diverged { segment: String },
    #[error("receive the cell's WAL")]
    Replication(#[from] ReplicationError),
    #[error("read what was streamed")]
    Fetch(#[from] FetchError),
    #[error("store what was streamed")]
    Push(#[from] PushError),
    #[error("remove what whole segments supersede")]
    Sweep(#[from] FileError),
}

impl StreamError {
    fn diverged(lineage: &Lineage, segment: Segment) -> Self {
        Self::Diverged { segment: segment.file_name(lineage.segment_size) }
    }

    /// Whether it comes and goes with the cell.
    fn is_the_cells(&self) -> bool {
        matches!(self, Self::Replication(_) | Self::UnknownLineage(_))
    }
}

impl TenantArchive {
    /// Streams a running cell's WAL into its lineage until dropped: new WAL is
    /// written at once, and then no more often than `every`. Goes on wherever
    /// the repository ends, also after another process was killed.
    pub async fn stream_wal(
        &self,
        lineage: LineageId,
        socket: PathBuf,
        every: Duration,
        told: watch::Sender<Streamed>,
    ) -> Infallible {
        let mut pause = PAUSE;
        let mut last = None;
        loop {
            let began = Instant::now();
            let Err(error) = self.stream_once(lineage, &socket, every, &told).await;
            let text = causes(&error);
            match error.is_the_cells() || last.as_ref() == Some(&text) {
                true => tracing::debug!(%lineage, "the WAL stream was broken off: {text}"),
                false => tracing::warn!(%lineage, "the WAL stream was broken off: {text}"),
            }
            last = Some(text.clone());
            told.send_modify(|told| {
                told.connected = false;
                told.behind_since.get_or_insert_with(Instant::now);
                told.error = Some(text);
            });
            if began.elapsed() > LONGEST_PAUSE {
                (pause, last) = (PAUSE, None);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn stream_once(
        &self,
        id: LineageId,
        socket: &Path,
        every: Duration,
        told: &watch::Sender<Streamed>,
    ) -> Result<Infallible, StreamError> {
        let lineage = self.blocking(move |archive| archive.lineage(id)).await.map_err(FetchError::from)?;
        let lineage = lineage.ok_or(StreamError::UnknownLineage(id))?;
        let mut connection = Replication::connect(socket).await?;
        let cell = connection.identify().await?;
        if cell.system_identifier != lineage.system_identifier || cell.timeline != lineage.timeline {
            let Identified { system_identifier: found, timeline, .. } = cell;
            return Err(StreamError::OtherCluster { found, timeline });
        }
        keep_slot(&mut connection, id, told).await?;
        let (whole, pieces) = self.blocking(move |archive| archive.look_at_pieces(id)).await?;
        let segment = first_missing(&lineage, whole, &pieces, cell.flushed);
        let of = lineage.clone();
        let known =
            self.blocking(move |archive| archive.read_pieces(&of, segment)).await?.unwrap_or_default();
        // From the segment's start, so that what is there already is seen to be
        // what the cell has.
        let start = segment.start(lineage.segment_size);
        let durable = Lsn(start.0 + known.len() as u64);
        // Asked once more: what was archived meanwhile is no more than it has.
        let flushed = connection.identify().await?.flushed;
        if durable > flushed {
            return Err(StreamError::diverged(&lineage, segment));
        }
        connection.start(SLOT, lineage.timeline, start).await?;
        let receiver = Receiver {
            archive: self.clone(),
            lineage,
            connection,
            every,
            told,
            start,
            known,
            next: start,
            durable,
            reached: flushed,
            pending: Vec::new(),
            pending_since: Instant::now(),
            writing_since: None,
            pieces,
        };
        receiver.run().await
    }
}

/// Drops the slot of a cell whose WAL is not streamed any more, or the cell
/// would go on keeping WAL for it.
pub async fn drop_stream_slot(socket: &Path) -> Result<(), ReplicationError> {
    let mut connection = Replication::connect(socket).await?;
    match connection.slot(SLOT).await? {
        Slot::Absent => Ok(()),
        Slot::Kept | Slot::Lost => connection.drop_slot(SLOT).await,
    }
}

async fn keep_slot(
    connection: &mut Replication,
    lineage: LineageId,
    told: &watch::Sender<Streamed>,
) -> Result<(), StreamError> {
    match connection.slot(SLOT).await? {
        Slot::Kept => return Ok(()),
        Slot::Absent => {}
        Slot::Lost => {
            // The archive has what the cell no longer kept for the stream.
            tracing::warn!(%lineage, "the cell gave up keeping WAL for its stream, which fell too far behind; it begins anew");
            connection.drop_slot(SLOT).await?;
            told.send_modify(|told| told.slots_lost += 1);
        }
    }
    Ok(connection.create_slot(SLOT).await?)
}

/// The first segment that the repository does not have to its end. Never one
/// further on: there must be no gap.
fn first_missing(lineage: &Lineage, whole: Option<Segment>, pieces: &Pieces, flushed: Lsn) -> Segment {
    let (timeline, size) = (lineage.timeline, lineage.segment_size);
    let fork = || lineage.parent.map(|fork| Segment::at(timeline, fork.lsn, size));
    let mut segment = whole
        .map(Segment::next)
        .or_else(|| pieces.keys().next().copied())
        .or_else(fork)
        .unwrap_or_else(|| Segment::at(timeline, flushed, size));
    while pieces.get(&segment).is_some_and(|pieces| Chain::of(pieces).end == size.0) {
        segment = segment.next();
    }
    segment
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a write made durable: up to where, and the piece, if it was none whole.
type Written = Result<(Lsn, Option<(Segment, Range)>), PushError>;
type Swept = Result<Pieces, FileError>;

struct Receiver<'a> {
    archive: TenantArchive,
    lineage: Arc<Lineage>,
    connection: Replication,
    every: Duration,
    told: &'a watch::Sender<Streamed>,
    /// Where the stream began, and what the repository had from there on.
    start: Lsn,
    known: Vec<u8>,
    /// The next byte that comes.
    next: Lsn,
    durable: Lsn,
    reached: Lsn,
    /// The bytes before `next` that no write was begun of.
    pending: Vec<u8>,
    pending_since: Instant,
    writing_since: Option<Instant>,
    /// Those that are not known to be superseded.
    pieces: Pieces,
}

impl Receiver<'_> {
    async fn run(mut self) -> Result<Infallible, StreamError> {
        let most = HELD * self.lineage.segment_size.0 as usize;
        let mut writing: Option<Work<Written>> = None;
        let mut sweeping: Option<Work<Swept>> = None;
        let mut write_at = Instant::now();
        let mut sweep_at = Instant::now();
        self.told.send_modify(|told| (told.connected, told.error) = (true, None));
        self.tell();
        self.connection.confirm(self.durable, self.durable).await?;
        loop {
            let now = Instant::now();
            if writing.is_none() && !self.pending.is_empty() && (now >= write_at || self.ends_segment()) {
                write_at = now + self.every;
                writing = Some(self.write());
            }
            if sweeping.is_none() && now >= sweep_at && self.has_ended() {
                sweeping = Some(self.sweep());
            }
            let (write_soon, sweep_soon) =
                (writing.is_none() && !self.pending.is_empty(), sweeping.is_none() && self.has_ended());
            tokio::select! {
                received = self.connection.receive(), if self.pending.len() < most => {
                    self.received(received?).await?;
                }
                written = end(&mut writing) => {
                    let (durable, piece) = written?;
                    self.durable = durable;
                    self.writing_since = None;
                    if let Some((segment, range)) = piece {
                        self.pieces.entry(segment).or_default().push(range);
                    }
                    self.tell();
                    self.connection.confirm(self.next.max(durable), durable).await?;
                }
                swept = end(&mut sweeping) => {
                    self.pieces.extend(swept?);
                    sweep_at = Instant::now() + SWEEP;
                }
                () = sleep_until(write_at), if write_soon => {}
                () = sleep_until(sweep_at), if sweep_soon => {}
            }
        }
    }

    async fn received(&mut self, received: Received) -> Result<(), StreamError> {
        match received {
            Received::Alive { end, reply } => {
                self.reached = self.reached.max(end);
                if reply {
                    self.connection.confirm(self.next.max(self.durable), self.durable).await?;
                }
            }
            Received::Wal { at, bytes, end } => {
                if at != self.next {
                    return Err(StreamError::Skipped { expected: self.next, found: at });
                }
                let there = usize::try_from(at.0 - self.start.0).unwrap_or(usize::MAX);
                let known = self.known.get(there..).unwrap_or_default();
                let seen = known.len().min(bytes.len());
                if bytes[..seen] != known[..seen] {
                    let segment = Segment::at(self.lineage.timeline, self.start, self.lineage.segment_size);
                    return Err(StreamError::diverged(&self.lineage, segment));
                }
                if self.pending.is_empty() {
                    self.pending_since = Instant::now();
                }
                self.pending.extend_from_slice(&bytes[seen..]);
                self.next = Lsn(at.0 + bytes.len() as u64);
                if self.next.0 - self.start.0 >= self.known.len() as u64 {
                    self.known = Vec::new();
                }
                self.reached = self.reached.max(end).max(self.next);
            }
        }
        self.tell();
        Ok(())
    }

    /// Where the pending bytes begin.
    fn at(&self) -> Lsn {
        Lsn(self.next.0 - self.pending.len() as u64)
    }

    /// How many of the pending bytes are of the first one's segment at most.
    fn room(&self) -> usize {
        let size = self.lineage.segment_size;
        (Segment::at(self.lineage.timeline, self.at(), size).end(size).0 - self.at().0) as usize
    }

    fn ends_segment(&self) -> bool {
        self.pending.len() >= self.room()
    }

    fn write(&mut self) -> Work<Written> {
        let (at, room) = (self.at(), self.room());
        let rest = self.pending.split_off(room.min(self.pending.len()));
        let bytes = std::mem::replace(&mut self.pending, rest);
        self.writing_since = Some(self.pending_since);
        self.pending_since = Instant::now();
        let (archive, lineage) = (self.archive.clone(), self.lineage.clone());
        Box::pin(async move {
            archive
                .blocking(move |archive| {
                    let size = lineage.segment_size;
                    let segment = Segment::at(lineage.timeline, at, size);
                    let durable = Lsn(at.0 + bytes.len() as u64);
                    if bytes.len() == size.0 as usize {
                        archive.push(lineage.id, &WalFile::Segment(segment), &bytes)?;
                        return Ok((durable, None));
                    }
                    let offset = |lsn: Lsn| (lsn.0 - segment.start(size).0) as u32;
                    archive.put_piece(&lineage, segment, offset(at), &bytes)?;
                    Ok((durable, Some((segment, (offset(at), offset(durable))))))
                })
                .await
        })
    }

    /// Whether there are pieces of a segment that the stream is past.
    fn has_ended(&self) -> bool {
        let now = Segment::at(self.lineage.timeline, self.durable, self.lineage.segment_size);
        self.pieces.keys().next().is_some_and(|first| *first < now)
    }

    fn sweep(&mut self) -> Work<Swept> {
        let now = Segment::at(self.lineage.timeline, self.durable, self.lineage.segment_size);
        let later = self.pieces.split_off(&now);
        let ended = std::mem::replace(&mut self.pieces, later);
        let (archive, lineage) = (self.archive.clone(), self.lineage.clone());
        Box::pin(async move { archive.blocking(move |archive| archive.drop_pieces(&lineage, ended)).await })
    }

    fn tell(&self) {
        let waits = (!self.pending.is_empty()).then_some(self.pending_since);
        let since = self.writing_since.or(waits);
        self.told.send_modify(|told| {
            (told.reached, told.durable) = (self.reached, self.durable);
            told.behind_since = match self.reached > self.durable {
                // The cell says how far it goes before it has sent that.
                true => since.or(told.behind_since).or_else(|| Some(Instant::now())),
                false => None,
            };
        });
    }
}

/// Waits for what may be under way; never returns if nothing is.
async fn end<T>(work: &mut Option<Work<T>>) -> T {
    let Some(running) = work.as_mut() else { return std::future::pending().await };
    let done = running.await;
    *work = None;
    done
}

//! One request.

use std::error::Error;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::LineageId;
use model::lsn::WalFile;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Access, LINE_LIMIT};
use crate::filestore::{FileId, FilestoreError};
use crate::repository::TenantArchive;
use crate::wal::{PushError, WalChain, size_limit};
use crate::{FileError, disk};

/// How long a client may take to say what it wants, and between two pieces of
/// what it sends or takes.
const LINE_TIMEOUT: Duration = Duration::from_secs(10);
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a push may wait for its lineage to be recorded.
const LINEAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is read at once of a file that is to be kept.
const PIECE: usize = 1 << 20;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub len: Option<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ok: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub len: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why a request is not answered with `ok`.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Bad(&'static str),
    #[error("read the request")]
    Read(#[source] io::Error),
    #[error(transparent)]
    Push(#[from] PushError),
    #[error(transparent)]
    Fetch(#[from] crate::FetchError),
    #[error(transparent)]
    Keep(#[from] FilestoreError),
    #[error(transparent)]
    File(#[from] FileError),
}

enum Done {
    Stored,
    Absent,
    Found(Vec<u8>),
}

/// Answers a client that is not listened to.
pub(super) fn refuse(stream: &UnixStream, why: &str) {
    // A fresh socket has room for a line; a client that is gone does not care.
    let _ = stream.try_write(&line(&Answer { error: Some(why.to_owned()), ..Answer::default() }));
}

pub(super) async fn serve(mut stream: UnixStream, access: Arc<RwLock<Access>>) {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::with_capacity(64 * 1024, reader);
    let mut body = Vec::new();
    let answer = match request(&mut reader, &access).await {
        Ok(Done::Stored) => Answer { ok: true, ..Answer::default() },
        Ok(Done::Absent) => Answer { ok: true, absent: true, ..Answer::default() },
        Ok(Done::Found(bytes)) => {
            body = bytes;
            Answer { ok: true, len: Some(body.len() as u64), ..Answer::default() }
        }
        Err(refusal) => Answer { error: Some(told(&refusal)), ..Answer::default() },
    };
    let written = async {
        writer.write_all(&line(&answer)).await?;
        for piece in body.chunks(PIECE) {
            timeout(PIECE_TIMEOUT, writer.write_all(piece)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        }
        writer.shutdown().await
    };
    if let Ok(Err(error)) = timeout(PIECE_TIMEOUT * 10, written).await {
        tracing::debug!(%error, "a client of the archive service did not take its answer");
    }
}

fn line(answer: &Answer) -> Vec<u8> {
    let mut line = serde_json::to_vec(answer).unwrap_or_default();
    line.push(b'\n');
    line
}

type Reader<'a> = BufReader<tokio::net::unix::ReadHalf<'a>>;

async fn request(reader: &mut Reader<'_>, access: &RwLock<Access>) -> Result<Done, Refusal> {
    let mut line = Vec::new();
    let read = (&mut *reader).take(LINE_LIMIT);
    tokio::pin!(read);
    let read = timeout(LINE_TIMEOUT, read.read_until(b'\n', &mut line)).await;
    read.map_err(|_| Refusal::Bad("the request did not come in time"))?.map_err(Refusal::Read)?;
    if line.last() != Some(&b'\n') {
        return Err(Refusal::Bad("the request is not a line of at most 1024 bytes"));
    }
    let Ok(request) = serde_json::from_slice::<Request>(&line) else {
        return Err(Refusal::Bad("the request is not one that is known"));
    };
    match (current(access), request) {
        (
            Access::Wal { archive, .. },
            Request { push: Some(name), len: Some(len), fetch: None, keep: None },
        ) => {
            let Some(lineage) = may_push(access).await else {
                return Err(Refusal::Bad("this cell may not archive yet"));
            };
            let pushed = push_file(reader, &archive, lineage, &name, len).await;
            let error = pushed.as_ref().err().map(told);
            if let Some(error) = &error {
                tracing::warn!(%lineage, name, error, "WAL was not taken into the repository");
            }
            archive.inner.note_error(lineage, error);
            pushed
        }
        (
            Access::Wal { archive, chain, .. },
            Request { fetch: Some(name), push: None, keep: None, len: None },
        ) => fetch_file(&archive, chain.as_ref(), &name).await,
        (
            Access::Files { archive },
            Request { keep: Some(name), len: Some(len), push: None, fetch: None },
        ) => keep_file(reader, &archive, &name, len).await,
        _ => Err(Refusal::Bad("the request is not one that this socket answers")),
    }
}

fn current(access: &RwLock<Access>) -> Access {
    access.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The lineage that may be pushed to. A cell that has just been promoted
/// archives before its lineage is recorded: it is held for that moment, since a
/// refusal would make PostgreSQL pause.
async fn may_push(access: &RwLock<Access>) -> Option<LineageId> {
    let deadline = tokio::time::Instant::now() + LINEAGE_TIMEOUT;
    loop {
        match current(access) {
            Access::Wal { push: Some(lineage), .. } => return Some(lineage),
            _ if tokio::time::Instant::now() > deadline => return None,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn push_file(
    reader: &mut Reader<'_>,
    archive: &TenantArchive,
    id: LineageId,
    name: &str,
    len: u64,
) -> Result<Done, Refusal> {
    let lineage = archive.blocking(move |archive| archive.lineage(id)).await.map_err(PushError::from)?;
    let lineage = lineage.ok_or(PushError::UnknownLineage(id))?;
    let Ok(file) = WalFile::parse(name, lineage.segment_size) else {
        return Err(Refusal::Bad("this is not the name of a WAL file"));
    };
    if len > size_limit(lineage.segment_size) as u64 {
        return Err(Refusal::Bad("the file is larger than a WAL file can be"));
    }
    let mut bytes = vec![0; len as usize];
    read_piece(reader, &mut bytes).await?;
    archive.push_wal(id, file, bytes).await?;
    Ok(Done::Stored)
}

async fn fetch_file(archive: &TenantArchive, chain: Option<&WalChain>, name: &str) -> Result<Done, Refusal> {
    let Some(chain) = chain else { return Err(Refusal::Bad("this cell may not fetch WAL")) };
    Ok(archive.fetch_wal(chain, name).await?.map_or(Done::Absent, Done::Found))
}

async fn keep_file(
    reader: &mut Reader<'_>,
    archive: &TenantArchive,
    name: &str,
    len: u64,
) -> Result<Done, Refusal> {
    let Ok(file) = name.parse::<FileId>() else {
        return Err(Refusal::Bad("this is not the name of a filestore's file"));
    };
    let mut keeping = archive.blocking(move |archive| archive.begin_keeping(file, len)).await?;
    let mut left = len;
    while left > 0 {
        let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        read_piece(reader, &mut piece).await?;
        left -= piece.len() as u64;
        keeping = archive.blocking(move |_| keeping.write(&piece).map(|()| keeping)).await?;
    }
    archive.blocking(move |archive| keeping.finish(archive)).await?;
    Ok(Done::Stored)
}

async fn read_piece(reader: &mut Reader<'_>, piece: &mut [u8]) -> Result<(), Refusal> {
    match timeout(PIECE_TIMEOUT, reader.read_exact(piece)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Refusal::Read(error)),
        Err(_) => Err(Refusal::Bad("the bytes did not come in time")),
    }
}

/// An error with its causes, on one line, for the client's log.
fn told(error: &Refusal) -> String {
    let (mut text, mut no_room) = (error.to_string(), false);
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        no_room |= error.downcast_ref::<io::Error>().is_some_and(disk::is_no_room);
        cause = error.source();
    }
    if no_room {
        text = format!("the repository has no room left, and takes this as soon as it has ({text})");
    }
    text.replace(['\n', '\r'], " ")
}

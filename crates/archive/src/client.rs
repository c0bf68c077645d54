//! The clients of the archive service: what PostgreSQL's `archive_command` and
//! `restore_command` run. They start often, so they are plain blocking code.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::service::{Answer, LINE_LIMIT, Request};

/// Longer than the service gives itself.
const TIMEOUT: Duration = Duration::from_secs(120);

/// No WAL segment is larger.
const LIMIT: u64 = 1 << 30;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{} is not the path of a WAL file", .0.display())]
    Name(PathBuf),
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("connect to the archive service at {}; is the worker running?", path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("talk to the archive service")]
    Talk(#[source] io::Error),
    #[error("the archive service sent an answer that is not understood")]
    Answer,
    /// What the service said.
    #[error("{0}")]
    Refused(String),
}

/// What became of a fetch, with the exit code that PostgreSQL expects of its
/// `restore_command`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// Exit code 0.
    Found,
    /// Not in the archive; exit code 1, a recovery's normal end.
    Absent,
}

/// What `restore_command` exits with when it cannot tell: PostgreSQL then breaks
/// the recovery off instead of ending it early.
pub const BROKEN_OFF: u8 = 126;

impl Fetched {
    pub fn exit_code(result: &Result<Self, ClientError>) -> u8 {
        match result {
            Ok(Self::Found) => 0,
            Ok(Self::Absent) => 1,
            Err(_) => BROKEN_OFF,
        }
    }
}

/// Hands the WAL file at `path` (`pg_wal/<name>`) to the service. On return it
/// is durable in the repository.
pub fn push(socket: &Path, path: &Path) -> Result<(), ClientError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| ClientError::Name(path.to_owned()))?;
    let read_failed = |source| ClientError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read_failed)?;
    let len = file.metadata().map_err(read_failed)?.len();
    let mut stream = connect(socket)?;
    let request = Request { push: Some(name.to_owned()), len: Some(len), ..Request::default() };
    // The kernel hands the bytes over: a segment never is in this process.
    let sent = send(&mut stream, &request)
        .and_then(|()| io::copy(&mut file.take(len), &mut stream))
        .and_then(|sent| if sent == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) });
    // It has all that there is; where a file was cut meanwhile, it must not wait for more.
    let sent = sent.and_then(|()| stream.shutdown(Shutdown::Write));
    // A service that refuses does not read on; its answer says why.
    match answer(&mut BufReader::new(stream)) {
        Err(ClientError::Talk(error)) => Err(ClientError::Talk(sent.err().unwrap_or(error))),
        Err(error) => Err(error),
        Ok(_) => sent.map_err(ClientError::Talk),
    }
}

/// Fetches the WAL file `name` to `dest`, which appears whole or not at all.
pub fn fetch(socket: &Path, name: &str, dest: &Path) -> Result<Fetched, ClientError> {
    let mut stream = connect(socket)?;
    let request = Request { fetch: Some(name.to_owned()), ..Request::default() };
    send(&mut stream, &request).map_err(ClientError::Talk)?;
    let mut reader = BufReader::new(stream);
    let answer = answer(&mut reader)?;
    if answer.absent {
        return Ok(Fetched::Absent);
    }
    let len = answer.len.filter(|len| *len <= LIMIT).ok_or(ClientError::Answer)?;
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| ClientError::Answer)?];
    reader.read_exact(&mut bytes).map_err(ClientError::Talk)?;

    let mut new = dest.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let placed = File::create(&new)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, dest));
    placed.map_err(|source| ClientError::Write { path: dest.to_owned(), source })?;
    Ok(Fetched::Found)
}

fn connect(socket: &Path) -> Result<UnixStream, ClientError> {
    let connected = UnixStream::connect(socket).and_then(|stream| {
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(stream)
    });
    connected.map_err(|source| ClientError::Connect { path: socket.to_owned(), source })
}

fn send(stream: &mut UnixStream, request: &Request) -> io::Result<()> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn answer(reader: &mut BufReader<UnixStream>) -> Result<Answer, ClientError> {
    let mut line = Vec::new();
    reader.take(LINE_LIMIT * 8).read_until(b'\n', &mut line).map_err(ClientError::Talk)?;
    if line.is_empty() {
        return Err(ClientError::Talk(io::ErrorKind::UnexpectedEof.into()));
    }
    let answer: Answer = serde_json::from_slice(&line).map_err(|_| ClientError::Answer)?;
    match answer.error {
        Some(error) => Err(ClientError::Refused(error)),
        None if answer.ok => Ok(answer),
        None => Err(ClientError::Answer),
    }
}

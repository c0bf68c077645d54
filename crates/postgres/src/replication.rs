//! The streaming replication protocol, as far as it takes to receive a running
//! cluster's WAL over its socket: `tokio-postgres` does not speak it.
//!
//! The superuser logs in by who it is to the operating system, so there is no
//! password to be exchanged.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes, BytesMut};
use model::lsn::{Lsn, Timeline};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::SUPERUSER;

/// How long the server may take to answer a command, and to take what is sent.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The server sends WAL in messages of at most 128 KiB.
const LONGEST: usize = 1 << 20;

/// A message's tag and its length, which counts itself.
const HEAD: usize = 5;

/// Seconds from 1970 to 2000, from where PostgreSQL counts.
const EPOCH: u64 = 946_684_800;

#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    #[error("connect to the cluster's socket")]
    Connect(#[source] io::Error),
    #[error("talk to the cluster")]
    Talk(#[source] io::Error),
    #[error("the cluster did not answer for {} seconds", TIMEOUT.as_secs())]
    NoAnswer,
    #[error("the cluster refused: {message} ({code})")]
    Refused { code: String, message: String },
    #[error("the cluster sent what is no part of the protocol: {0}")]
    Protocol(&'static str),
    #[error("the cluster ended the stream")]
    Ended,
}

impl ReplicationError {
    fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

/// Who the cluster is, and how far its WAL is durable in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identified {
    pub system_identifier: u64,
    pub timeline: Timeline,
    pub flushed: Lsn,
}

/// What became of a physical replication slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    Absent,
    /// It keeps WAL.
    Kept,
    /// It kept more than it may, and the cluster gave it up.
    Lost,
}

/// What comes out of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// Bytes of the WAL, the first of which is at `at`; all that the cluster
    /// has goes up to `end`.
    Wal { at: Lsn, bytes: Bytes, end: Lsn },
    /// A sign of life.
    Alive { end: Lsn, reply: bool },
}

/// A connection for replication.
pub struct Replication {
    stream: UnixStream,
    input: BytesMut,
    output: BytesMut,
}

impl Replication {
    /// Connects over a cluster's socket as its superuser.
    pub async fn connect(socket: &Path) -> Result<Self, ReplicationError> {
        let stream = UnixStream::connect(socket).await.map_err(ReplicationError::Connect)?;
        let mut connection = Self { stream, input: BytesMut::new(), output: BytesMut::new() };
        let parameters =
            [("user", SUPERUSER), ("replication", "true"), ("application_name", "heddle stream")];
        frontend::startup_message(parameters, &mut connection.output).map_err(ReplicationError::Talk)?;
        connection.send().await?;
        connection.answer().await?;
        Ok(connection)
    }

    pub async fn identify(&mut self) -> Result<Identified, ReplicationError> {
        let row = self.query("IDENTIFY_SYSTEM").await?;
        let field = |place: usize| row.get(place).and_then(Option::as_deref);
        let read = || {
            Some(Identified {
                system_identifier: field(0)?.parse().ok()?,
                timeline: Timeline(field(1)?.parse().ok()?),
                flushed: field(2)?.parse().ok()?,
            })
        };
        read().ok_or(ReplicationError::Protocol("an identification that cannot be read"))
    }

    pub async fn slot(&mut self, name: &str) -> Result<Slot, ReplicationError> {
        let row = self.query(&format!("READ_REPLICATION_SLOT {name}")).await?;
        let has = |place: usize| row.get(place).is_some_and(Option::is_some);
        Ok(match (has(0), has(1)) {
            (false, _) => Slot::Absent,
            (true, true) => Slot::Kept,
            (true, false) => Slot::Lost,
        })
    }

    /// Makes a slot that keeps WAL from now on. One that is there stays.
    pub async fn create_slot(&mut self, name: &str) -> Result<(), ReplicationError> {
        match self.query(&format!("CREATE_REPLICATION_SLOT {name} PHYSICAL RESERVE_WAL")).await {
            Err(error) if error.is("42710") => Ok(()),
            made => made.map(drop),
        }
    }

    /// Drops a slot, if there is one.
    pub async fn drop_slot(&mut self, name: &str) -> Result<(), ReplicationError> {
        match self.query(&format!("DROP_REPLICATION_SLOT {name}")).await {
            Err(error) if error.is("42704") => Ok(()),
            dropped => dropped.map(drop),
        }
    }

    /// Begins to receive the WAL from `from` on.
    pub async fn start(&mut self, slot: &str, timeline: Timeline, from: Lsn) -> Result<(), ReplicationError> {
        let command = format!("START_REPLICATION SLOT {slot} PHYSICAL {from} TIMELINE {}", timeline.0);
        frontend::query(&command, &mut self.output).map_err(ReplicationError::Talk)?;
        self.send().await?;
        let (tag, body) =
            timeout(TIMEOUT, self.message()).await.map_err(|_| ReplicationError::NoAnswer)??;
        match tag {
            b'W' => Ok(()),
            b'E' => Err(refused(&body)),
            _ => Err(ReplicationError::Protocol("another answer than a stream")),
        }
    }

    /// What comes next. May be dropped at any time: nothing is lost by it.
    pub async fn receive(&mut self) -> Result<Received, ReplicationError> {
        match self.message().await? {
            (b'd', body) => read(body),
            (b'E', body) => Err(refused(&body)),
            (b'c' | b'C', _) => Err(ReplicationError::Ended),
            _ => Err(ReplicationError::Protocol("something else within a stream")),
        }
    }

    /// Tells the cluster what was received, and what of it is durable: that is
    /// what its slot need not keep.
    pub async fn confirm(&mut self, received: Lsn, durable: Lsn) -> Result<(), ReplicationError> {
        let mut text = [0; 34];
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = since_1970.saturating_sub(Duration::from_secs(EPOCH)).as_micros();
        text[0] = b'r';
        text[1..9].copy_from_slice(&received.0.to_be_bytes());
        text[9..17].copy_from_slice(&durable.0.to_be_bytes());
        // Nothing is applied here.
        text[25..33].copy_from_slice(&u64::try_from(now).unwrap_or(0).to_be_bytes());
        frontend::CopyData::new(&text[..]).map_err(ReplicationError::Talk)?.write(&mut self.output);
        self.send().await
    }

    /// A command, and the one row of its answer.
    async fn query(&mut self, command: &str) -> Result<Vec<Option<String>>, ReplicationError> {
        frontend::query(command, &mut self.output).map_err(ReplicationError::Talk)?;
        self.send().await?;
        self.answer().await
    }

    /// What comes until the cluster is ready for the next command: the row, if
    /// there is one.
    async fn answer(&mut self) -> Result<Vec<Option<String>>, ReplicationError> {
        let mut row = Ok(Vec::new());
        let read = async {
            loop {
                match self.message().await? {
                    (b'Z', _) => return Ok::<_, ReplicationError>(()),
                    (b'D', body) => row = fields(body),
                    // After one of a command it goes on; of a login, it does not.
                    (b'E', body) => row = Err(refused(&body)),
                    (b'R', body) if body[..] != [0; 4] => {
                        return Err(ReplicationError::Protocol("a question for a password"));
                    }
                    // It is let in; its key; a setting; what the row looks like; the end of it.
                    (b'R' | b'K' | b'S' | b'T' | b'C', _) => {}
                    _ => return Err(ReplicationError::Protocol("something else than an answer")),
                }
            }
        };
        match timeout(TIMEOUT, read).await {
            Err(_) => Err(ReplicationError::NoAnswer),
            Ok(Err(ended)) => row.and(Err(ended)),
            Ok(Ok(())) => row,
        }
    }

    async fn send(&mut self) -> Result<(), ReplicationError> {
        let sent = timeout(TIMEOUT, self.stream.write_all(&self.output)).await;
        self.output.clear();
        sent.map_err(|_| ReplicationError::NoAnswer)?.map_err(ReplicationError::Talk)
    }

    /// The next message, but for notices: its tag, and what it holds.
    async fn message(&mut self) -> Result<(u8, Bytes), ReplicationError> {
        loop {
            while let Some((tag, body)) = next(&mut self.input)? {
                if tag != b'N' {
                    return Ok((tag, body));
                }
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) => return Err(ReplicationError::Ended),
                Ok(_) => {}
                Err(error) => return Err(ReplicationError::Talk(error)),
            }
        }
    }
}

/// The message that the input begins with, if all of it is there.
fn next(input: &mut BytesMut) -> Result<Option<(u8, Bytes)>, ReplicationError> {
    let Some(head) = input.first_chunk::<HEAD>() else { return Ok(None) };
    let (tag, length) = (head[0], u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize);
    if !(4..=LONGEST).contains(&length) {
        return Err(ReplicationError::Protocol("a message of an impossible length"));
    }
    if input.len() < 1 + length {
        input.reserve(1 + length - input.len());
        return Ok(None);
    }
    let mut message = input.split_to(1 + length).freeze();
    message.advance(HEAD);
    Ok(Some((tag, message)))
}

/// `XLogData`, or a keepalive.
fn read(mut body: Bytes) -> Result<Received, ReplicationError> {
    let number = |at: usize| {
        let bytes = body.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map(|bytes| u64::from_be_bytes(*bytes))
    };
    match (body.first(), number(1), number(9)) {
        (Some(b'w'), Some(at), Some(end))
            if body.len() >= 25 && at.checked_add(body.len() as u64).is_some() =>
        {
            Ok(Received::Wal { at: Lsn(at), end: Lsn(end), bytes: body.split_off(25) })
        }
        (Some(b'k'), Some(end), Some(_)) if body.len() == 18 => {
            Ok(Received::Alive { end: Lsn(end), reply: body[17] == 1 })
        }
        _ => Err(ReplicationError::Protocol("a bad piece of a stream")),
    }
}

fn fields(mut row: Bytes) -> Result<Vec<Option<String>>, ReplicationError> {
    let bad = || ReplicationError::Protocol("a bad row");
    let mut fields = Vec::new();
    for _ in 0..row.try_get_i16().map_err(|_| bad())? {
        let length = row.try_get_i32().map_err(|_| bad())?;
        fields.push(match usize::try_from(length) {
            // A null.
            Err(_) => None,
            Ok(length) if length > row.len() => return Err(bad()),
            Ok(length) => Some(String::from_utf8_lossy(&row.split_to(length)).into_owned()),
        });
    }
    Ok(fields)
}

fn refused(body: &[u8]) -> ReplicationError {
    let (mut code, mut message) = (String::new(), String::new());
    for field in body.split(|byte| *byte == 0) {
        let text = || String::from_utf8_lossy(&field[1..]).into_owned();
        match field.first() {
            Some(b'C') => code = text(),
            Some(b'M') => message = text(),
            _ => {}
        }
    }
    ReplicationError::Refused { code, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[tag], &length[..], body].concat()
    }

    #[test]
    fn messages_are_read_wherever_they_are_cut() {
        let whole = [message(b'D', b"one"), message(b'Z', b""), message(b'E', &[7; 300])].concat();
        for cut in 0..whole.len() {
            let (mut input, mut found) = (BytesMut::new(), Vec::new());
            for part in [&whole[..cut], &whole[cut..]] {
                input.extend_from_slice(part);
                while let Some((tag, body)) = next(&mut input).unwrap() {
                    found.push((tag, body.len()));
                }
            }
            assert_eq!(found, [(b'D', 3), (b'Z', 0), (b'E', 300)]);
        }
        for length in [0_u32, 3, 1 << 21, u32::MAX] {
            let mut bad = BytesMut::from(&[&b"d"[..], &length.to_be_bytes()].concat()[..]);
            next(&mut bad).unwrap_err();
        }
    }

    #[test]
    fn pieces_of_a_stream_are_what_they_say() {
        let of = |tag: u8, numbers: &[u64], rest: &[u8]| {
            let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
            read(Bytes::from([&[tag], &numbers[..], rest].concat()))
        };
        let wal = of(b'w', &[0x300_0000, 0x300_0100, 7], b"bytes").unwrap();
        let bytes = Bytes::from_static(b"bytes");
        assert_eq!(wal, Received::Wal { at: Lsn(0x300_0000), end: Lsn(0x300_0100), bytes });
        assert_eq!(of(b'k', &[5, 7], &[1]).unwrap(), Received::Alive { end: Lsn(5), reply: true });
        of(b'w', &[1, 2], b"").unwrap_err();
        of(b'w', &[u64::MAX, 2, 3], b"bytes").unwrap_err();
        of(b'k', &[5, 7], &[]).unwrap_err();
        of(b'x', &[5, 7], &[]).unwrap_err();
        read(Bytes::new()).unwrap_err();
    }

    #[test]
    fn rows_and_refusals_are_read() {
        let row = [&[0, 2, 0, 0, 0, 2][..], b"ab", &[255; 4]].concat();
        assert_eq!(fields(Bytes::from(row)).unwrap(), [Some("ab".to_owned()), None]);
        for bad in [&[][..], &[0, 1], &[0, 1, 0, 0, 0, 9, 1]] {
            fields(Bytes::copy_from_slice(bad)).unwrap_err();
        }
        let error = refused(b"SERROR\0C42710\0Mthere is one\0\0");
        assert!(error.is("42710") && error.to_string().contains("there is one"), "{error}");
    }
}

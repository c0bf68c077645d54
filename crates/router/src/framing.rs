//! Follows where a client's requests begin and end, more strictly than the
//! HTTP server does, so that nothing passes that two readers could frame
//! differently.

/// Kept of each line: enough for the headers that decide on framing. What is
/// longer and matters is refused; what is longer and does not is not looked at.
const KEPT: usize = 256;

/// Why a client's bytes were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a line ends in a bare line feed")]
    BareLineFeed,
    #[error("a carriage return stands inside a line")]
    BareCarriageReturn,
    #[error("a header is folded over two lines")]
    FoldedHeader,
    #[error("a header has no name")]
    NamelessHeader,
    #[error("there is more than one Host")]
    DuplicateHost,
    #[error("the length of the body is given twice")]
    DuplicateLength,
    #[error("Content-Length is not a number")]
    BadLength,
    #[error("Transfer-Encoding is not chunked")]
    BadEncoding,
    #[error("a chunk is malformed")]
    BadChunk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a request, in its first line, or in empty lines in front of it.
    Between,
    Headers,
    /// That many bytes of a body are to come.
    Sized(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// Another protocol may follow; nothing is looked at any more.
    Opaque,
}

/// The framing of one connection's requests, fed with the bytes as they come.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    /// What was kept of the line under way.
    line: Vec<u8>,
    line_length: usize,
    head: Head,
}

/// What the head under way has said about its body so far.
#[derive(Debug, Default)]
struct Head {
    host: bool,
    length: Option<u64>,
    chunked: bool,
    opaque_after: bool,
}

/// Where a connection stands: what its client is to send next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expects {
    /// Nothing, or a new request.
    Request,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// Whatever another protocol says.
    Anything,
}

impl Framing {
    pub(crate) fn new() -> Self {
        Self { state: State::Between, line: Vec::new(), line_length: 0, head: Head::default() }
    }

    pub(crate) fn expects(&self) -> Expects {
        match self.state {
            State::Between if self.line_length == 0 => Expects::Request,
            State::Between | State::Headers => Expects::Head,
            State::Sized(_) | State::ChunkSize | State::Chunk(_) | State::ChunkEnd | State::Trailers => {
                Expects::Body
            }
            State::Opaque => Expects::Anything,
        }
    }

    /// Takes the next bytes. On a fault, its position: the bytes before it are
    /// in order, and nothing may be taken after it.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Result<(), (usize, Fault)> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match self.state {
                State::Opaque => rest.len(),
                State::Sized(left) => self.skip(left, rest, State::Sized, State::Between),
                State::Chunk(left) => self.skip(left, rest, State::Chunk, State::ChunkEnd),
                _ => self.line(rest).map_err(|(offset, fault)| (at + offset, fault))?,
            };
        }
        Ok(())
    }

    fn skip(&mut self, left: u64, bytes: &[u8], more: fn(u64) -> State, done: State) -> usize {
        let skipped = left.min(bytes.len() as u64);
        self.state = if skipped == left { self.after_body(done) } else { more(left - skipped) };
        skipped as usize
    }

    fn after_body(&self, next: State) -> State {
        if next == State::Between && self.head.opaque_after { State::Opaque } else { next }
    }

    /// Takes bytes up to the end of a line, and the line if that is there.
    fn line(&mut self, bytes: &[u8]) -> Result<usize, (usize, Fault)> {
        let (part, ended) = match bytes.iter().position(|&b| b == b'\n') {
            Some(end) => (&bytes[..end], true),
            None => (bytes, false),
        };
        // A carriage return is in order only as a line's last character.
        if self.line.last() == Some(&b'\r') && !part.is_empty() {
            return Err((0, self.stray_return()));
        }
        if let Some(at) = part.iter().position(|&b| b == b'\r')
            && at + 1 < part.len()
        {
            return Err((at + 1, self.stray_return()));
        }
        if self.state == State::ChunkEnd && part.first().is_some_and(|&b| b != b'\r') {
            return Err((0, Fault::BadChunk));
        }
        self.keep(part);
        if !ended {
            return Ok(part.len());
        }
        let end = part.len();
        if self.line.pop() != Some(b'\r') {
            return Err((end, Fault::BareLineFeed));
        }
        self.line_length -= 1;
        let next = self.finish_line().map_err(|fault| (end, fault))?;
        self.state = self.after_body(next);
        self.line.clear();
        self.line_length = 0;
        Ok(end + 1)
    }

    /// Keeps a line's beginning, and always whether it ends in a carriage return.
    fn keep(&mut self, part: &[u8]) {
        self.line_length += part.len();
        let room = KEPT.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..room.min(part.len())]);
        if part.len() > room && part.last() == Some(&b'\r') {
            self.line.push(b'\r');
        }
    }

    fn stray_return(&self) -> Fault {
        match self.state {
            State::ChunkSize | State::ChunkEnd => Fault::BadChunk,
            _ => Fault::BareCarriageReturn,
        }
    }

    /// What follows the line that has just ended.
    fn finish_line(&mut self) -> Result<State, Fault> {
        let empty = self.line_length == 0;
        let cut_off = self.line_length > self.line.len();
        match self.state {
            State::Between if empty => Ok(State::Between),
            State::Between => {
                self.head = Head { opaque_after: self.line.starts_with(b"CONNECT "), ..Head::default() };
                Ok(State::Headers)
            }
            State::Headers if empty => Ok(match self.head {
                Head { chunked: true, .. } => State::ChunkSize,
                Head { length: Some(length @ 1..), .. } => State::Sized(length),
                _ => State::Between,
            }),
            State::Headers => self.head.take(&self.line, cut_off).map(|()| State::Headers),
            State::ChunkSize if cut_off => Err(Fault::BadChunk),
            State::ChunkSize => match chunk_size(&self.line).ok_or(Fault::BadChunk)? {
                0 => Ok(State::Trailers),
                size => Ok(State::Chunk(size)),
            },
            State::ChunkEnd if empty => Ok(State::ChunkSize),
            State::ChunkEnd => Err(Fault::BadChunk),
            State::Trailers if empty => Ok(State::Between),
            State::Trailers => Ok(State::Trailers),
            State::Sized(_) | State::Chunk(_) | State::Opaque => Ok(self.state),
        }
    }
}

impl Head {
    fn take(&mut self, line: &[u8], cut_off: bool) -> Result<(), Fault> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Fault::FoldedHeader);
        }
        let Some(colon) = line.iter().position(|&b| b == b':') else {
            return if cut_off { Ok(()) } else { Err(Fault::NamelessHeader) };
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        if is("host") {
            if std::mem::replace(&mut self.host, true) {
                return Err(Fault::DuplicateHost);
            }
        } else if is("content-length") {
            if self.chunked || self.length.is_some() {
                return Err(Fault::DuplicateLength);
            }
            self.length = Some(decimal(value).filter(|_| !cut_off).ok_or(Fault::BadLength)?);
        } else if is("transfer-encoding") {
            if self.chunked || self.length.is_some() {
                return Err(Fault::DuplicateLength);
            }
            if !value.eq_ignore_ascii_case(b"chunked") || cut_off {
                return Err(Fault::BadEncoding);
            }
            self.chunked = true;
        } else if is("upgrade") {
            self.opaque_after = true;
        }
        Ok(())
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = (1..=19).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}

/// `1a` or `1a;name=value`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|&b| b == b';').map_or(line, |end| &line[..end]);
    if !(1..=15).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0, |n, &b| Some(n << 4 | u64::from((b as char).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(bytes: &[u8]) -> Result<Expects, (usize, Fault)> {
        let mut framing = Framing::new();
        framing.scan(bytes)?;
        Ok(framing.expects())
    }

    const GOOD: &[(&str, Expects)] = &[
        ("", Expects::Request),
        ("\r\n", Expects::Request),
        ("\r\nGE", Expects::Head),
        ("GET / HTTP/1.1\r\nHost: a\r\n", Expects::Head),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Expects::Request),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n", Expects::Head),
        ("POST / HTTP/1.1\r\ncontent-LENGTH: 3\r\n\r\nab", Expects::Body),
        ("POST / HTTP/1.1\r\nContent-Length:3 \r\n\r\nabc", Expects::Request),
        ("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", Expects::Request),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nab\n\r\n", Expects::Body),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n", Expects::Body),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0A\r\n0123456789\r\n0\r\n\r\n",
            Expects::Request,
        ),
        ("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\n\n\r\r", Expects::Anything),
        ("POST / HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab\n", Expects::Anything),
        ("CONNECT a:1 HTTP/1.1\r\n\r\n\n", Expects::Anything),
    ];

    const BAD: &[(&str, Fault)] = &[
        ("GET / HTTP/1.1\nHost: a\n\n", Fault::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Fault::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Fault::BareLineFeed),
        ("\nGET / HTTP/1.1\r\n", Fault::BareLineFeed),
        ("GET / HTTP/1.1\r\nA: b\rHost: a\r\n", Fault::BareCarriageReturn),
        ("GET / HTTP/1.1\r\nHost: a\r\r\n", Fault::BareCarriageReturn),
        ("GET / HTTP/1.1\r\nA: b\r\n c\r\n", Fault::FoldedHeader),
        ("GET / HTTP/1.1\r\nA\r\n", Fault::NamelessHeader),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n", Fault::DuplicateHost),
        ("P / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n", Fault::DuplicateLength),
        ("P / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", Fault::DuplicateLength),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n", Fault::DuplicateLength),
        (
            "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Fault::DuplicateLength,
        ),
        ("P / HTTP/1.1\r\nContent-Length: +1\r\n", Fault::BadLength),
        ("P / HTTP/1.1\r\nContent-Length: 1, 1\r\n", Fault::BadLength),
        ("P / HTTP/1.1\r\nContent-Length: \r\n", Fault::BadLength),
        ("P / HTTP/1.1\r\nContent-Length: 0x10\r\n", Fault::BadLength),
        ("P / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n", Fault::BadLength),
        ("P / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n", Fault::BadEncoding),
        ("P / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n", Fault::BadEncoding),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n", Fault::BadEncoding),
        ("P / HTTP/1.1\r\nTransfer-Encoding: \"chunked\"\r\n", Fault::BadEncoding),
        ("P / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n", Fault::BadEncoding),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", Fault::BadChunk),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\n", Fault::BadChunk),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n", Fault::BadChunk),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\n", Fault::BadChunk),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", Fault::BadChunk),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", Fault::BadChunk),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\rb", Fault::BadChunk),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n", Fault::BareLineFeed),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\n", Fault::BareLineFeed),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n", Fault::BareLineFeed),
    ];

    #[test]
    fn requests_in_order_are_followed() {
        for (text, expects) in GOOD {
            assert_eq!(scan(text.as_bytes()), Ok(*expects), "{text:?}");
        }
    }

    #[test]
    fn what_could_be_framed_in_two_ways_is_a_fault() {
        for (text, fault) in BAD {
            assert_eq!(scan(text.as_bytes()).map_err(|(_, fault)| fault), Err(*fault), "{text:?}");
        }
    }

    #[test]
    fn long_lines_are_followed_and_long_lengths_refused() {
        let long = "x".repeat(5000);
        assert_eq!(
            scan(format!("GET /{long} HTTP/1.1\r\nHost: a\r\nA: {long}\r\n{long}: a\r\n\r\n").as_bytes()),
            Ok(Expects::Request)
        );
        let pad = " ".repeat(300);
        for (name, fault) in [("Content-Length", Fault::BadLength), ("Transfer-Encoding", Fault::BadEncoding)]
        {
            let text = format!("P / HTTP/1.1\r\n{name}:{pad}1\r\n");
            assert_eq!(scan(text.as_bytes()).map_err(|(_, fault)| fault), Err(fault));
        }
        let text = format!("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;{long}\r\n");
        assert_eq!(scan(text.as_bytes()).map_err(|(_, fault)| fault), Err(Fault::BadChunk));
    }

    proptest! {
        /// However the bytes are cut, they mean the same, and the same byte is at fault.
        #[test]
        fn cuts_do_not_matter(which in 0..GOOD.len() + BAD.len(), cuts in prop::collection::vec(1usize..40, 0..60)) {
            let text = GOOD.get(which).map_or_else(|| BAD[which - GOOD.len()].0, |good| good.0).as_bytes();
            let mut framing = Framing::new();
            let mut at = 0;
            let mut found = Ok(());
            for cut in cuts.into_iter().chain([text.len()]) {
                let end = (at + cut).min(text.len());
                found = framing.scan(&text[at..end]).map_err(|(offset, fault)| (at + offset, fault));
                at = end;
                if found.is_err() {
                    break;
                }
            }
            prop_assert_eq!(found.map(|()| framing.expects()), scan(text));
        }
    }
}

//! A client's connection as the HTTP server sees it: framing is checked and
//! stalls are ended before a byte reaches the server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::framing::{Expects, Framing};

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From a head's first byte to its last.
    pub(crate) head: Duration,
    /// Between two bytes of a body.
    pub(crate) body: Duration,
    /// Between two bytes of an answer that it takes.
    pub(crate) answer: Duration,
}

/// After an answer, unread bytes of a refused request are thrown away for this
/// long: closing at once would reset the connection, and the client might lose
/// the answer.
const LINGER: Duration = Duration::from_secs(2);

pub(crate) struct Guard<S> {
    stream: S,
    framing: Framing,
    patience: Patience,
    /// A fault was found; nothing more is read.
    refused: bool,
    head_deadline: Option<Instant>,
    read_stall: Option<Pin<Box<Sleep>>>,
    write_stall: Option<Pin<Box<Sleep>>>,
    linger: Option<Pin<Box<Sleep>>>,
    shut: bool,
}

impl<S> Guard<S> {
    pub(crate) fn new(stream: S, patience: Patience) -> Self {
        Self {
            stream,
            framing: Framing::new(),
            patience,
            refused: false,
            head_deadline: None,
            read_stall: None,
            write_stall: None,
            linger: None,
            shut: false,
        }
    }

    /// Checks what was just read. The byte at fault becomes a NUL, which no
    /// part of a head and no chunk's frame may hold: the server answers 400
    /// and closes.
    fn check(&mut self, read: &mut [u8]) -> usize {
        match self.framing.scan(read) {
            Ok(()) => read.len(),
            Err((at, fault)) => {
                tracing::debug!(%fault, "refuse a connection's bytes");
                self.refused = true;
                read[at] = 0;
                at + 1
            }
        }
    }

    /// Ready once the client has stalled for too long in the middle of a request.
    fn poll_read_stall(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = match self.framing.expects() {
            Expects::Request | Expects::Anything => {
                self.read_stall = None;
                return Poll::Pending;
            }
            Expects::Head => self.head_deadline.unwrap_or_else(|| Instant::now() + self.patience.head),
            Expects::Body => Instant::now() + self.patience.body,
        };
        self.read_stall.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline))).as_mut().poll(cx)
    }

    fn poll_written<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.write_stall = None;
            return done;
        }
        let patience = self.patience.answer;
        let stall = self.write_stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.refused {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let Poll::Ready(result) = Pin::new(&mut this.stream).poll_read(cx, buf) else {
            ready!(this.poll_read_stall(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        result?;
        this.read_stall = None;
        let kept = this.check(&mut buf.filled_mut()[before..]);
        buf.set_filled(before + kept);
        if this.framing.expects() == Expects::Head {
            let now = Instant::now();
            let patience = this.patience.head;
            if now > *this.head_deadline.get_or_insert_with(|| now + patience) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else {
            this.head_deadline = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.poll_written(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.poll_written(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.shut {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.shut = true;
        }
        let unread = this.refused || matches!(this.framing.expects(), Expects::Head | Expects::Body);
        if !unread {
            return Poll::Ready(Ok(()));
        }
        let linger = this.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if linger.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut scrap = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scrap);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

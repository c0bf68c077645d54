//! The bodies that pass through, piece by piece.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::listen::InFlight;

/// Why a client's body could not be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    #[error("the body is longer than allowed")]
    TooLarge,
    #[error("the body is malformed or was broken off")]
    Broken,
}

/// Tells what happened to a body that the upstream's connection has taken over.
#[derive(Debug, Clone, Default)]
pub(crate) struct BodyWatch(Arc<AtomicU8>);

impl BodyWatch {
    pub(crate) fn fault(&self) -> Option<BodyFault> {
        match self.0.load(Ordering::Acquire) {
            1 => Some(BodyFault::TooLarge),
            2 => Some(BodyFault::Broken),
            _ => None,
        }
    }

    fn note(&self, fault: BodyFault) -> BodyFault {
        let code = match fault {
            BodyFault::TooLarge => 1,
            BodyFault::Broken => 2,
        };
        self.0.store(code, Ordering::Release);
        fault
    }
}

/// A request's body on its way to the upstream. Trailers stay behind: WSGI
/// makes headers of them.
pub(crate) struct Upload {
    body: Option<Incoming>,
    left: u64,
    watch: BodyWatch,
}

impl Upload {
    pub(crate) fn new(body: Incoming, limit: u64) -> (Self, BodyWatch) {
        let watch = BodyWatch::default();
        (Self { body: Some(body), left: limit, watch: watch.clone() }, watch)
    }

    pub(crate) fn none() -> Self {
        Self { body: None, left: 0, watch: BodyWatch::default() }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        loop {
            let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            let frame = match frame {
                Ok(frame) => frame,
                Err(_) => return Poll::Ready(Some(Err(this.watch.note(BodyFault::Broken)))),
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            match this.left.checked_sub(data.len() as u64) {
                Some(left) => this.left = left,
                None => return Poll::Ready(Some(Err(this.watch.note(BodyFault::TooLarge)))),
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// A response's body on its way to the client.
pub(crate) enum Answer {
    Own(Full<Bytes>),
    /// Counted as under way until its last byte.
    Upstream(Incoming, #[expect(dead_code, reason = "held for its drop")] InFlight),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Upstream(body, _) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Upstream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Upstream(body, _) => body.size_hint(),
        }
    }
}

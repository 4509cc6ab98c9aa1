//! Handles a body that no handler has read to its end.
//!
//! The response to such a request may be lost: closing a connection on which bytes arrive resets it, and a reset
//! removes what the client has not read yet. So a small rest of a body is read and thrown away, and the connection
//! stays open. If the rest is large or slow, the response says `Connection: close`, and the server lingers (RFC 9112,
//! 9.6).

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::timeout;

/// A rest up to this size is thrown away to keep the connection. Most commands are smaller.
const DISCARDED_BYTES: usize = 64 << 10;

/// How long that may take. A client that is sending the rest of a small body needs less.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(200);

/// A body that records whether it was read to its end. It can be moved meanwhile.
pub(super) struct TrackedBody<B> {
    body: B,
    is_read: Arc<AtomicBool>,
}

/// The body of a request, while the request is answered.
pub(super) enum RequestBody<B> {
    /// Nobody needs it, or a command's handler reads it.
    Kept(TrackedBody<B>),
    /// A routed handler has it. When the handler drops it, it comes back.
    Lent(Returned<B>),
}

/// Where a body comes back to.
type Returned<B> = Arc<Mutex<Option<TrackedBody<B>>>>;

impl<B> RequestBody<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// The body, unless a handler has it.
    pub(super) const fn kept(&mut self) -> Option<&mut TrackedBody<B>> {
        match self {
            Self::Kept(body) => Some(body),
            Self::Lent(_) => None,
        }
    }

    /// Gives the body to a handler.
    pub(super) fn lend(&mut self) -> Body {
        let returned = Returned::default();
        match std::mem::replace(self, Self::Lent(Arc::clone(&returned))) {
            Self::Kept(body) => Body::new(LentBody { body: Some(body), returned }),
            Self::Lent(_) => Body::empty(),
        }
    }

    /// The body once the request is answered. `None` if a handler goes on reading it.
    pub(super) fn take_back(self) -> Option<TrackedBody<B>> {
        match self {
            Self::Kept(body) => Some(body),
            Self::Lent(returned) => returned.lock().unwrap_or_else(PoisonError::into_inner).take(),
        }
    }
}

/// A body in the hands of a handler.
struct LentBody<B> {
    /// `None` only while it is dropped.
    body: Option<TrackedBody<B>>,
    returned: Returned<B>,
}

impl<B> Drop for LentBody<B> {
    fn drop(&mut self) {
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for LentBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        Poll::Ready(ready!(Pin::new(body).poll_frame(context)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

/// Knows whether a [`TrackedBody`] was read to its end.
pub(super) struct BodyProgress(Arc<AtomicBool>);

impl BodyProgress {
    pub(super) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> TrackedBody<B> {
    pub(super) fn new(body: B) -> Self {
        let is_read = Arc::new(AtomicBool::new(body.is_end_stream()));
        Self { body, is_read }
    }

    pub(super) fn progress(&self) -> BodyProgress {
        BodyProgress(Arc::clone(&self.is_read))
    }

    /// Reads the rest if it is small and arrives soon. Returns whether the body was read to its end. A client that
    /// waits for permission to send (`Expect: 100-continue`) gets none, because its body is not needed.
    pub(super) async fn discard(mut self, waits: bool) -> bool {
        let progress = self.progress();
        let is_large = |announced: u64| usize::try_from(announced).map_or(true, |bytes| bytes > DISCARDED_BYTES);
        if waits || is_large(self.body.size_hint().lower()) {
            return progress.is_complete();
        }
        let all = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = self.frame().await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > DISCARDED_BYTES {
                    break;
                }
            }
        };
        // A rest that is too slow is treated like one that is too large.
        let _too_slow = timeout(DISCARD_TIMEOUT, all).await;
        progress.is_complete()
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.is_read.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

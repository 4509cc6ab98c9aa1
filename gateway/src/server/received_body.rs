//! The body of a request. What nobody has read of it comes back to an HTTP/2 connection, which reads on.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use super::limits;

/// The body of a request.
pub(crate) struct ReceivedBody {
    /// `None` only while it is dropped.
    incoming: Option<Incoming>,
    returned: Option<Returned>,
}

/// Where a body comes back to when it is dropped.
#[derive(Clone, Default)]
pub(super) struct Returned(Arc<Mutex<Option<Incoming>>>);

/// The rest of a body, which is read and thrown away.
pub(super) struct Rest {
    incoming: Incoming,
    timer: Pin<Box<Sleep>>,
    bytes_left: u64,
}

impl From<Incoming> for ReceivedBody {
    fn from(incoming: Incoming) -> Self {
        Self { incoming: Some(incoming), returned: None }
    }
}

impl ReceivedBody {
    pub(super) const fn returning(incoming: Incoming, returned: Returned) -> Self {
        Self { incoming: Some(incoming), returned: Some(returned) }
    }
}

impl Drop for ReceivedBody {
    fn drop(&mut self) {
        if let Some(returned) = &self.returned {
            *returned.lock() = self.incoming.take();
        }
    }
}

impl HttpBody for ReceivedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Returned {
    fn lock(&self) -> MutexGuard<'_, Option<Incoming>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something of the body was not read.
    pub(super) fn has_rest(&self) -> bool {
        self.lock().as_ref().is_some_and(|incoming| !incoming.is_end_stream())
    }

    pub(super) fn take_rest(&self) -> Option<Rest> {
        let incoming = self.lock().take().filter(|incoming| !incoming.is_end_stream())?;
        Some(Rest { incoming, timer: Box::pin(sleep(limits::LINGERING)), bytes_left: limits::LINGERING_BYTES })
    }
}

impl Rest {
    /// Reads until the client has finished, the time is over, or the limit of bytes is reached.
    pub(super) fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.bytes_left > 0 {
            match Pin::new(&mut self.incoming).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    self.bytes_left = self.bytes_left.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX));
                }
                Poll::Ready(_) => break,
                Poll::Pending => return self.timer.as_mut().poll(context),
            }
        }
        Poll::Ready(())
    }
}

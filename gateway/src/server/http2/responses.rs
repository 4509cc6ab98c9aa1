//! The responses of an HTTP/2 connection. Each is handed over in small pieces, so that it shows which client takes nothing.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Limits;
use crate::server::limits;
use crate::server::received_body::{Rest, Returned};

/// The responses of a connection whose next bytes the client has to take, each with the time since when.
#[derive(Clone, Default)]
pub(super) struct Responses(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    since: HashMap<u64, (Instant, IsEndless)>,
    next: u64,
}

type IsEndless = bool;

impl Responses {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pace(
        &self,
        body: Body,
        unread: Returned,
        is_endless: bool,
        place: Option<OwnedSemaphorePermit>,
    ) -> Paced {
        let mut waiting = self.lock();
        let id = waiting.next;
        waiting.next += 1;
        // Hyper takes the first bytes of the body when the client has room for some.
        waiting.since.insert(id, (Instant::now(), is_endless));
        drop(waiting);
        let turns = Turns { id, is_endless, responses: self.clone() };
        Paced { body, piece: Bytes::new(), unread, discarded: None, turns, _place: place }
    }

    pub(super) fn is_any_stalled(&self, now: Instant, limit: &Limits) -> bool {
        let is_stalled = |&(since, is_endless): &(Instant, IsEndless)| {
            now.saturating_duration_since(since) >= if is_endless { limit.stalled_endless } else { limit.stalled }
        };
        self.lock().since.values().any(is_stalled)
    }
}

/// Whose turn it is in one response: hyper's, which asks for bytes, or the client's, which has to take them.
struct Turns {
    id: u64,
    is_endless: IsEndless,
    responses: Responses,
}

impl Turns {
    fn client(&self) {
        self.responses.lock().since.insert(self.id, (Instant::now(), self.is_endless));
    }

    fn server(&self) {
        self.responses.lock().since.remove(&self.id);
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.server();
    }
}

/// The body of a response in small pieces: hyper takes each of them only when the client has room for it.
///
/// It ends when the body of the request was read, too. Otherwise hyper would reset the stream, and clients that are still
/// sending would lose the response, as curl 7.88 and httpx do.
pub(super) struct Paced {
    body: Body,
    /// What is left of a piece of the body that was too large.
    piece: Bytes,
    unread: Returned,
    /// The body of the request while it is thrown away.
    discarded: Option<Rest>,
    turns: Turns,
    _place: Option<OwnedSemaphorePermit>,
}

impl Paced {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.piece.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.piece = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return self.poll_discard(context).map(|()| None),
            }
        }
        let length = self.piece.len().min(limits::FRAME_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.piece.split_to(length)))))
    }

    /// Throws away what nobody has read of the request.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.discarded.is_none() {
            self.discarded = self.unread.take_rest();
        }
        match &mut self.discarded {
            Some(rest) => rest.poll_discard(context),
            None => Poll::Ready(()),
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let piece = self.poll_piece(context);
        if matches!(piece, Poll::Ready(Some(_))) {
            self.turns.client()
        } else {
            self.turns.server()
        }
        piece
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream() && self.discarded.is_none() && !self.unread.has_rest()
    }

    fn size_hint(&self) -> SizeHint {
        let piece = u64::try_from(self.piece.len()).unwrap_or(u64::MAX);
        let body = self.body.size_hint();
        let mut whole = SizeHint::new();
        whole.set_lower(body.lower().saturating_add(piece));
        if let Some(upper) = body.upper() {
            whole.set_upper(upper.saturating_add(piece));
        }
        whole
    }
}

//! Events as they come, to whoever asks with `Accept: text/event-stream` (server-sent events).
//!
//! A stream is pulled: the next message is made when the connection has room for it, and the next page of events is read
//! when the last one has been taken. So a client that reads slowly slows down nobody but itself, and holds at most one
//! page in memory; one that takes nothing is given up by the server, like with any other answer. A message goes out in
//! pieces. An event that is larger than a page is read under a share of `gateway.stream_budget`, which the stream keeps
//! until the client has taken it: streams of large events wait for each other, in order, and go on giving signs of life.
//!
//! A message has an `id` and, as `data`, the event in JSON. It has no `event` name on purpose: a browser's `EventSource`
//! hands named messages only to who listens for that very name, so an event that was invented later would be lost
//! without a word. Unnamed ones all come to `onmessage`; `aggregate` and `type` inside say what it is, and the filters
//! of the address choose. A message with nothing but an `id` is seen by no handler, but remembered for the next
//! `Last-Event-ID`: a stream begins with one, and goes on with them while there is nothing to show.

mod accept;
mod places;
mod rest;
mod start;

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;
use std::vec;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::response::Response;
use dormouse_journal::ReadError;
use dormouse_kernel::RecordedEvent;
use futures_util::stream::unfold;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, warn};

pub(super) use accept::{VARY_ACCEPT, wants_stream};
use places::Place;
pub(crate) use places::Streams;
pub(super) use rest::Rest;
pub(super) use start::{Start, beyond};

use super::budget::Share;
use super::event::event_json;
use super::pieces::PIECE_BYTES;
use super::token::Token;
use crate::server::Endless;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// What nginx, and proxies that learnt from it, take as "pass on at once".
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What a page may take in memory, in bytes, and so what a stream holds for a client that takes nothing. Larger
/// ones would hardly be cheaper to read.
pub(super) const PAGE_BYTES: usize = 128 << 10;

/// Events that a stream looks at before it lets others go first.
pub(super) const LOOK: usize = 1024;

/// How long a stream waits before it asks a journal again that does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// The largest event that may be read beyond a page.
pub(super) fn largest(share: Option<&Share>) -> usize {
    if share.is_some() { usize::MAX } else { 0 }
}

/// What a stream shows.
pub(super) trait Source: Send + 'static {
    /// The events that follow, in order; waits until there are any. Nothing is lost if the future is dropped.
    ///
    /// None: the next one is larger than a page, and is read under a share only. One that turns out not to be wanted is
    /// given back at once.
    fn next(&mut self, share: &mut Option<Share>)
    -> impl Future<Output = Result<Vec<RecordedEvent>, ReadError>> + Send;

    /// What an event is called, so that a client can go on behind it.
    fn id(event: &RecordedEvent) -> Token;

    /// The id up to which everything that is to be shown was given by [`next`](Self::next).
    fn reached(&self) -> Token;
}

/// A stream of all that `source` has to show, in `place`.
pub(super) fn answer(source: impl Source, place: Place) -> Response {
    let due = Instant::now();
    let page = Vec::new().into_iter();
    let stream = Stream { source, place, page, piece: Bytes::new(), share: None, waiting: None, told: None, due };
    let pieces = unfold(stream, |mut stream| async move {
        let piece = stream.piece().await?;
        Some((Ok::<_, Infallible>(piece), stream))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.extensions_mut().insert(Endless);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

struct Stream<S> {
    source: S,
    place: Place,
    page: vec::IntoIter<RecordedEvent>,
    /// What is left of the message under way.
    piece: Bytes,
    /// Memory for an event that is larger than a page, from before it is read until it is taken.
    share: Option<Share>,
    /// Such an event comes next, and this is in the queue for its memory.
    waiting: Option<Pin<Box<dyn Future<Output = Share> + Send>>>,
    /// The last id that the client was told.
    told: Option<Token>,
    /// When it must hear something again.
    due: Instant,
}

impl<S: Source> Stream<S> {
    /// The next piece of a message; none if the stream ends.
    async fn piece(&mut self) -> Option<Bytes> {
        if self.piece.is_empty() {
            if self.page.as_slice().is_empty() {
                // What needed it has been taken.
                self.share = None;
            }
            self.piece = self.message().await?.into();
        }
        Some(self.piece.split_to(self.piece.len().min(PIECE_BYTES)))
    }

    /// The next message; none if the stream ends.
    async fn message(&mut self) -> Option<String> {
        if self.place.is_ending() {
            return None;
        }
        let message = match self.page.next() {
            Some(event) => self.show(&event),
            // Where it begins: a client that is cut off before the first event comes back to the same place.
            None if self.told.is_none() => self.show_id(),
            None => self.next_page().await?,
        };
        self.due = Instant::now() + self.place.heartbeat();
        Some(message)
    }

    /// The first message of the next page, or a sign of life.
    async fn next_page(&mut self) -> Option<String> {
        loop {
            let Self { source, share, waiting, .. } = self;
            let next = async {
                if let Some(next_share) = waiting {
                    *share = Some(next_share.await);
                    *waiting = None;
                }
                source.next(share).await
            };
            let events = tokio::select! {
                biased;
                () = self.place.ending() => return None,
                events = next => events,
                () = sleep_until(self.due) => return Some(self.sign_of_life()),
            };
            match events {
                Ok(events) if events.is_empty() => {
                    self.share = None;
                    self.waiting = Some(Box::pin(self.place.large_events().share()));
                }
                Ok(events) => {
                    self.page = events.into_iter();
                    if let Some(event) = self.page.next() {
                        return Some(self.show(&event));
                    }
                }
                Err(error @ ReadError::Unavailable(_)) => {
                    warn!(%error, "a stream cannot read on");
                    tokio::select! {
                        () = self.place.ending() => return None,
                        () = sleep(RETRY) => {}
                    }
                }
                Err(error @ ReadError::Damaged { .. }) => {
                    error!(%error, "a stream ends where it cannot be read");
                    return None;
                }
            }
        }
    }

    fn show(&mut self, event: &RecordedEvent) -> String {
        let id = S::id(event);
        self.told = Some(id);
        // JSON in one line.
        format!("id: {id}\ndata: {}\n\n", event_json(event))
    }

    fn show_id(&mut self) -> String {
        let id = self.source.reached();
        self.told = Some(id);
        format!("id: {id}\n\n")
    }

    /// Tells how far the stream has come, if that is news: who filters for what is rare would otherwise begin far back
    /// after every interruption.
    fn sign_of_life(&mut self) -> String {
        if self.told == Some(self.source.reached()) { ":\n\n".to_owned() } else { self.show_id() }
    }
}

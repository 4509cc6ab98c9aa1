//! Events as they come, to whoever asks with `Accept: text/event-stream` (server-sent events).
//!
//! A stream is pulled: the next message is made when the connection has room for it, and the next page of events is read
//! when the last one has been taken. So a client that reads slowly slows down nobody but itself, and holds at most one
//! page in memory; one that takes nothing is given up by the server, like with any other answer.
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
use std::time::Duration;
use std::vec;

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
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

use super::event::event_json;
use crate::server::Endless;

/// What nginx, and proxies that learnt from it, take as "pass on at once".
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What a page may take in memory, in bytes, about, and so what a stream holds for a client that takes nothing. Larger
/// ones would hardly be cheaper to read.
pub(super) const PAGE_BYTES: usize = 128 << 10;

/// Events that a stream looks at before it lets others go first.
pub(super) const LOOK: usize = 1024;

/// How long a stream waits before it asks a journal again that does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// What a stream shows.
pub(super) trait Source: Send + 'static {
    /// The events that follow, in order; waits until there are any. Nothing is lost if the future is dropped.
    fn next(&mut self) -> impl Future<Output = Result<Vec<RecordedEvent>, ReadError>> + Send;

    /// What an event is called, so that a client can go on behind it.
    fn id(event: &RecordedEvent) -> u64;

    /// The id up to which everything that is to be shown was given by [`next`](Self::next).
    fn reached(&self) -> u64;
}

/// A stream of all that `source` has to show, in `place`.
pub(super) fn answer(source: impl Source, place: Place) -> Response {
    let due = Instant::now();
    let stream = Stream { source, place, page: Vec::new().into_iter(), told: None, due };
    let messages = unfold(stream, |mut stream| async move {
        let message = stream.message().await?;
        Some((Ok::<_, Infallible>(message), stream))
    });
    let mut response = Sse::new(messages).into_response();
    response.extensions_mut().insert(Endless);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

struct Stream<S> {
    source: S,
    place: Place,
    page: vec::IntoIter<RecordedEvent>,
    /// The last id that the client was told.
    told: Option<u64>,
    /// When it must hear something again.
    due: Instant,
}

impl<S: Source> Stream<S> {
    /// The next message; none if the stream ends.
    async fn message(&mut self) -> Option<Event> {
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
    async fn next_page(&mut self) -> Option<Event> {
        loop {
            let events = tokio::select! {
                biased;
                () = self.place.ending() => return None,
                events = self.source.next() => events,
                () = sleep_until(self.due) => return Some(self.sign_of_life()),
            };
            match events {
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

    fn show(&mut self, event: &RecordedEvent) -> Event {
        let id = S::id(event);
        self.told = Some(id);
        Event::default().id(id.to_string()).data(event_json(event).to_string())
    }

    fn show_id(&mut self) -> Event {
        let id = self.source.reached();
        self.told = Some(id);
        Event::default().id(id.to_string())
    }

    /// Tells how far the stream has come, if that is news: who filters for what is rare would otherwise begin far back
    /// after every interruption.
    fn sign_of_life(&mut self) -> Event {
        if self.told == Some(self.source.reached()) { Event::DEFAULT_KEEP_ALIVE } else { self.show_id() }
    }
}

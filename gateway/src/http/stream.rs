//! Streams of events, for clients that send `Accept: text/event-stream` (server-sent events).
//!
//! A stream is pulled: the next message is made when the connection has room for it, and the next page of events is
//! read when the last one has been taken. So a slow client delays only itself, and a stream holds at most one page in
//! memory. The server disconnects a client that takes nothing, as for any other response. A message is sent in chunks.
//! An event that is larger than a page is read under a share of `gateway.stream_budget`, which the stream keeps until
//! the client has taken the event. Streams with large events wait for each other in order, and send heartbeats
//! meanwhile.
//!
//! A message has an `id` and, as `data`, the event in JSON. It has no `event` name on purpose: a browser's
//! `EventSource` delivers a named message only to listeners of that name, so an event that is added to the application
//! later would be lost silently. Messages without a name are all delivered to `onmessage`. `aggregate` and `type`
//! inside the event say what it is, and the filters in the address choose events. A message with nothing but an `id` is
//! seen by no handler, but the client remembers it for the next `Last-Event-ID`. A stream begins with such a message,
//! and sends more of them while it has no event to show.

mod accept;
mod pause;
mod permits;
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
pub(super) use pause::ReadPause;
use permits::StreamPermit;
pub(crate) use permits::Streams;
pub(super) use start::{Start, beyond_end};

use super::access::Admitted;
use super::budget::Share;
use super::chunks::CHUNK_BYTES;
use super::event::event_json;
use super::token::Token;
use crate::server::EndlessBody;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Tells nginx, and proxies that follow its example, to pass on every message at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Bytes of a page in memory, and so what a stream holds for a client that takes nothing. Larger pages would hardly be
/// cheaper to read.
pub(super) const PAGE_BYTES: usize = 128 << 10;

/// Events that a stream looks at before it yields to other tasks.
pub(super) const SCAN_EVENTS: usize = 1024;

/// The pause before a stream tries again to read a journal that did not answer.
const RETRY: Duration = Duration::from_secs(1);

/// The largest event that may be read beyond a page.
pub(super) fn largest(share: Option<&Share>) -> usize {
    if share.is_some() { usize::MAX } else { 0 }
}

/// The source of a stream's events.
pub(super) trait Source: Send + 'static {
    /// The events that follow, in order. Waits until there are any. Nothing is lost if the future is dropped.
    ///
    /// An empty result means that the next event is larger than a page and is read only under a share. If that event
    /// turns out not to be wanted, its share is given back at once.
    fn next(&mut self, share: &mut Option<Share>)
    -> impl Future<Output = Result<Vec<RecordedEvent>, ReadError>> + Send;

    /// The id of an event, after which a client can continue.
    fn id(event: &RecordedEvent) -> Token;

    /// The id up to which [`next`](Self::next) has returned all wanted events.
    fn reached(&self) -> Token;
}

/// The response with a stream of everything that `source` has.
///
/// The stream ends when the token or key of its caller stops counting.
pub(super) fn answer(source: impl Source, permit: StreamPermit, admitted: Option<Admitted>) -> Response {
    let due = Instant::now();
    let page = Vec::new().into_iter();
    let stream = Stream {
        source,
        permit,
        admitted,
        page,
        unsent: Bytes::new(),
        share: None,
        waiting_share: None,
        sent_id: None,
        due,
    };
    let chunks = unfold(stream, |mut stream| async move {
        let chunk = stream.next_chunk().await?;
        Some((Ok::<_, Infallible>(chunk), stream))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.extensions_mut().insert(EndlessBody);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

struct Stream<S> {
    source: S,
    permit: StreamPermit,
    /// `None`: callers are not authenticated.
    admitted: Option<Admitted>,
    page: vec::IntoIter<RecordedEvent>,
    /// The rest of the message that is being sent.
    unsent: Bytes,
    /// Memory for an event that is larger than a page, from before it is read until the client has taken it.
    share: Option<Share>,
    /// Waits for that memory, because the next event needs it.
    waiting_share: Option<Pin<Box<dyn Future<Output = Share> + Send>>>,
    /// The last id that was sent to the client.
    sent_id: Option<Token>,
    /// When the next message is due.
    due: Instant,
}

impl<S: Source> Stream<S> {
    /// The next chunk of a message; `None` at the end of the stream.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        if self.unsent.is_empty() {
            if self.page.as_slice().is_empty() {
                // The client has taken the event that needed the share.
                self.share = None;
            }
            self.unsent = self.message().await?.into();
        }
        Some(self.unsent.split_to(self.unsent.len().min(CHUNK_BYTES)))
    }

    /// The next message; `None` at the end of the stream.
    async fn message(&mut self) -> Option<String> {
        if self.permit.is_ending() || self.has_no_caller() {
            return None;
        }
        let message = match self.page.next() {
            Some(event) => self.show(&event),
            // The start id: a client that is cut off before the first event resumes at the same place.
            None if self.sent_id.is_none() => self.show_id(),
            // That may have taken until the next heartbeat.
            None => self.next_page().await.filter(|_| !self.has_no_caller())?,
        };
        self.due = Instant::now() + self.permit.heartbeat();
        Some(message)
    }

    fn has_no_caller(&self) -> bool {
        self.admitted.as_ref().is_some_and(|admitted| !admitted.still_counts())
    }

    /// The first message of the next page, or a heartbeat.
    async fn next_page(&mut self) -> Option<String> {
        loop {
            let Self { source, share, waiting_share, .. } = self;
            let next = async {
                if let Some(next_share) = waiting_share {
                    *share = Some(next_share.await);
                    *waiting_share = None;
                }
                source.next(share).await
            };
            let events = tokio::select! {
                biased;
                () = self.permit.ending() => return None,
                events = next => events,
                () = sleep_until(self.due) => return Some(self.heartbeat_message()),
            };
            match events {
                Ok(events) if events.is_empty() => {
                    self.share = None;
                    self.waiting_share = Some(Box::pin(self.permit.large_events().share()));
                }
                Ok(events) => {
                    self.page = events.into_iter();
                    if let Some(event) = self.page.next() {
                        return Some(self.show(&event));
                    }
                }
                Err(error @ ReadError::Unavailable(_)) => {
                    warn!(%error, "a stream cannot read the journal, trying again");
                    tokio::select! {
                        () = self.permit.ending() => return None,
                        () = sleep(RETRY) => {}
                    }
                }
                Err(error @ ReadError::Damaged { .. }) => {
                    error!(%error, "a stream ended at a damaged event");
                    return None;
                }
            }
        }
    }

    fn show(&mut self, event: &RecordedEvent) -> String {
        let id = S::id(event);
        self.sent_id = Some(id);
        // The JSON has no line breaks.
        format!("id: {id}\ndata: {}\n\n", event_json(event))
    }

    fn show_id(&mut self) -> String {
        let id = self.source.reached();
        self.sent_id = Some(id);
        format!("id: {id}\n\n")
    }

    /// A heartbeat. It tells how far the stream has read, if that has changed: otherwise a client that filters for rare
    /// events would start far back after each interruption.
    fn heartbeat_message(&mut self) -> String {
        if self.sent_id == Some(self.source.reached()) { ":\n\n".to_owned() } else { self.show_id() }
    }
}

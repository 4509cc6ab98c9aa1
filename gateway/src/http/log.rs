//! `GET /v1/events`: the events of all aggregates in the order of their commits, page by page or as a stream.

mod filter;
mod follow;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use dormouse_engine::QueryError;
use dormouse_journal::{Journal, PageLimit, ReadError, Selected, Turn};
use dormouse_kernel::{Position, RecordedEvent};
use tokio::time::{Instant, timeout_at};

pub(super) use filter::Filter;
use follow::Log;

use super::Api;
use super::access::Admitted;
use super::address::{Parameters, query_without};
use super::envelope::Arrival;
use super::event::events_page;
use super::problem::{self, Problem};
use super::stream::{self, Start, VARY_ACCEPT, beyond_end, wants_stream};
use super::token::Token;

/// Bytes that one read may take when a filter may drop some of its events.
const READ_BYTES_AT_ONCE: usize = 256 << 10;

/// The most events that are read for one page, wanted or not: reading takes time, and a request has little of it.
const SCAN_EVENTS_MAX: u64 = 50_000;

/// The most bytes that are read for one page, for the same reason.
const SCAN_BYTES_MAX: usize = 64 << 20;

/// The usual time until other clients have read their page.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) async fn log(
    State(api): State<Arc<Api>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, Problem> {
    let (request, _) = request.into_parts();
    let answer = if wants_stream(&request.headers) {
        follow(&api, &request, arrival.admitted).await
    } else {
        page(&api, &request).await
    }?;
    Ok(([VARY_ACCEPT], answer).into_response())
}

async fn follow(api: &Api, request: &Parts, admitted: Option<Admitted>) -> Result<Response, Problem> {
    let parameters = Parameters::of(&request.uri, &["after", "type", "event"])?;
    let filter = Filter::of(api, &parameters)?;
    let start = match Start::of_headers(&request.headers)? {
        Some(id) => Start::After(id),
        None => Start::of_address(&parameters)?,
    };
    let after = position(api, start).await?;
    let permit = api.streams.open()?;
    Ok(stream::answer(Log::follow(api.engine.journal(), after, filter, api.catch_ups.clone()), permit, admitted))
}

async fn page(api: &Api, request: &Parts) -> Result<Response, Problem> {
    let uri = &request.uri;
    let parameters = Parameters::of(uri, &["after", "limit", "type", "event"])?;
    let filter = Filter::of(api, &parameters)?;
    let mut reached = Position(position(api, Start::of_address(&parameters)?).await?.number);
    let limit = api.page_limit(&parameters)?;

    let deadline = Instant::now() + api.command_timeout;
    let share = api.pages.share_by(deadline).await?;
    let journal = api.engine.journal();
    let head = *journal.head().borrow();
    let last = head.min(reached.plus(SCAN_EVENTS_MAX));
    let stored = filter.stored();
    let (mut events, mut bytes, mut bytes_read): (Vec<RecordedEvent>, usize, usize) = (Vec::new(), 0, 0);
    'page: while reached < last && events.len() < limit && bytes < api.page_bytes && bytes_read < SCAN_BYTES_MAX {
        let turn = api.turn_by(deadline).await?;
        let read_limit = PageLimit::events(limit - events.len());
        let selected = match &stored {
            None => read_all(journal, reached, last, read_limit.bytes(api.page_bytes)).await,
            Some(stored) => journal.select_log(reached, last, stored, read_limit.bytes(READ_BYTES_AT_ONCE)).await,
        };
        drop(turn);
        let Selected { events: found, reached: scanned } = selected.map_err(QueryError::from)?;
        for event in found {
            let size = event.event.size_bytes();
            let is_wanted = filter.wants(&event.aggregate, &event.event);
            if is_wanted && !events.is_empty() && bytes + size > api.page_bytes {
                break 'page;
            }
            reached = event.position;
            bytes_read += size;
            if is_wanted {
                bytes += size;
                events.push(event);
            }
        }
        reached = scanned;
    }
    let mark = match events.last().filter(|last| last.position == reached) {
        Some(last) => Some(last.event.chain.mark()),
        None => journal.mark_at(reached).await.map_err(QueryError::from)?,
    };
    let after = Token::new(reached.0, mark);
    let next = (reached < head).then(|| format!("{}?after={after}{}", uri.path(), query_without(uri, "after")));
    Ok(events_page(events, next, Some(reached), share).await)
}

/// Reads a page of the log without a filter, up to `last`: later events are not known to be durable.
async fn read_all(journal: &Journal, after: Position, last: Position, limit: PageLimit) -> Result<Selected, ReadError> {
    let mut events = journal.read_log(after, limit).await?.events;
    events.retain(|event| event.position <= last);
    let reached = events.last().map_or(after, |event| event.position);
    Ok(Selected { events, reached })
}

/// The position to begin after. The log must reach it, and must be the log that the client knows.
async fn position(api: &Api, start: Start) -> Result<Token, Problem> {
    let head = *api.engine.journal().head().borrow();
    match start {
        Start::Latest => Ok(Token::new(head.0, None)),
        Start::After(after) if after.number <= head.0 => api.refuse_other_history(after).await.map(|()| after),
        Start::After(after) => {
            let what = format!("the log ends at position {head}, before {after}");
            Err(beyond_end(&what).with("position", head.0))
        }
    }
}

impl Api {
    /// Waits for a turn to read the log, until the deadline.
    pub(super) async fn turn_by(&self, deadline: Instant) -> Result<Turn, Problem> {
        timeout_at(deadline, self.catch_ups.turn()).await.map_err(|_| {
            let detail = "too many clients read the log: try again later, or raise gateway.catch_up_reads";
            Problem::new(&problem::NODE_OVERLOADED, detail).retry_after(RETRY_AFTER)
        })
    }
}

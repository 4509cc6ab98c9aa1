//! `GET /v1/events`: the events of all aggregates in the order of their commits, page by page or as a stream.

mod filter;
mod follow;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use dormouse_engine::QueryError;
use dormouse_journal::PageLimit;
use dormouse_kernel::{Position, RecordedEvent};
use tokio::time::Instant;

pub(super) use filter::Filter;
use follow::Log;

use super::Api;
use super::address::{Parameters, query_without};
use super::event::events_page;
use super::problem::Problem;
use super::stream::{self, Start, VARY_ACCEPT, beyond, wants_stream};

/// What is read at once, when most of it may not be wanted.
const READ: PageLimit = PageLimit::events(1000).bytes(256 << 10);

/// Events looked at for one page, wanted or not: reading takes time, and a request does not have much.
const LOOKED_AT: u64 = 50_000;

/// Their bytes, for the same reason.
const READ_BYTES: usize = 64 << 20;

pub(super) async fn log(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let (request, _) = request.into_parts();
    let answer = if wants_stream(&request.headers) { follow(&api, &request) } else { page(&api, &request).await }?;
    Ok(([VARY_ACCEPT], answer).into_response())
}

fn follow(api: &Api, request: &Parts) -> Result<Response, Problem> {
    let parameters = Parameters::of(&request.uri, &["after", "type", "event"])?;
    let filter = Filter::of(api, &parameters)?;
    let start = match Start::of_headers(&request.headers)? {
        Some(id) => Start::After(id),
        None => Start::of_address(&parameters)?,
    };
    let after = position(api, start)?;
    let place = api.streams.open()?;
    Ok(stream::answer(Log::follow(api.engine.journal(), after, filter), place))
}

async fn page(api: &Api, request: &Parts) -> Result<Response, Problem> {
    let uri = &request.uri;
    let parameters = Parameters::of(uri, &["after", "limit", "type", "event"])?;
    let filter = Filter::of(api, &parameters)?;
    let mut reached = position(api, Start::of_address(&parameters)?)?;
    let limit = api.page_limit(&parameters)?;

    let share = api.pages.share_by(Instant::now() + api.command_timeout).await?;
    let journal = api.engine.journal();
    let head = *journal.head().borrow();
    let last = head.min(reached.plus(LOOKED_AT));
    let read_limit = if filter.is_none() { PageLimit::events(limit).bytes(api.page_bytes) } else { READ };
    let (mut events, mut bytes, mut bytes_read): (Vec<RecordedEvent>, usize, usize) = (Vec::new(), 0, 0);
    'page: while reached < last && events.len() < limit && bytes < api.page_bytes && bytes_read < READ_BYTES {
        for event in journal.read_log(reached, read_limit).await.map_err(QueryError::from)? {
            // What comes behind the head is not known to be durable.
            if event.position > last || events.len() == limit {
                break 'page;
            }
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
    }
    let next = (reached < head).then(|| format!("{}?after={reached}{}", uri.path(), query_without(uri, "after")));
    Ok(events_page(events, next, Some(reached), share).await)
}

/// Where to begin, if the log reaches that far.
fn position(api: &Api, start: Start) -> Result<Position, Problem> {
    let head = *api.engine.journal().head().borrow();
    match start {
        Start::Latest => Ok(head),
        Start::After(after) if after <= head.0 => Ok(Position(after)),
        Start::After(after) => {
            let what = format!("the log ends at position {head}, before {after}");
            Err(beyond(&what).with("position", head.0))
        }
    }
}

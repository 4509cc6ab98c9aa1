//! `GET /v1/{type}/{id}/events`: the stored events of an aggregate, page by page or as a stream.

mod follow;

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use dormouse_engine::QueryError;
use dormouse_journal::{Page, PageLimit};
use dormouse_kernel::{AggregateId, RecordedEvent, Version};
use follow::History;
use tokio::time::Instant;

use super::Api;
use super::access::Admitted;
use super::address::{Parameters, aggregate_id, invalid, segments};
use super::envelope::Arrival;
use super::event::events_page;
use super::log::Filter;
use super::problem::Problem;
use super::resource::Resource;
use super::stream::{self, Start, VARY_ACCEPT, beyond_end, wants_stream};
use super::token::Token;

pub(super) async fn history(
    State(api): State<Arc<Api>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, Problem> {
    let (request, _) = request.into_parts();
    if arrival.only_own().is_some() {
        let mut path = segments(&request.uri).skip(1);
        let resource = api.resource(path.next().unwrap_or_default())?;
        let id = aggregate_id(path.next().unwrap_or_default())?;
        if !arrival.may_reach(resource, &id).await? {
            return Err(QueryError::NotFound.into());
        }
    }
    let wants_stream = wants_stream(&request.headers);
    let answer =
        if wants_stream { follow(&api, &request, arrival.admitted).await } else { page(&api, &request).await }?;
    Ok(([VARY_ACCEPT], answer).into_response())
}

async fn follow(api: &Api, request: &Parts, admitted: Option<Admitted>) -> Result<Response, Problem> {
    let mut path = segments(&request.uri).skip(1);
    let aggregate_type = path.next().unwrap_or_default();
    let resource = api.resource(aggregate_type)?;
    let id = aggregate_id(path.next().unwrap_or_default())?;
    let parameters = Parameters::of(&request.uri, &["after", "event"])?;
    let filter = Filter::of_type(api, aggregate_type, &parameters)?;
    let after = match Start::of_headers(&request.headers)? {
        Some(version) => version,
        None => Token::after(&parameters)?,
    };
    let permit = api.streams.open()?;
    let known = resource.history(&id, Version(after.number.saturating_sub(1)), PageLimit::ONE).await?;
    let Some(RecordedEvent { aggregate, event, .. }) = known.into_iter().next() else {
        if after.number == 0 || resource.history(&id, Version::ZERO, PageLimit::ONE).await?.is_empty() {
            return Err(QueryError::NotFound.into());
        }
        return Err(beyond_end(&format!("the aggregate has no version {after}")));
    };
    after.check((after.number > 0).then(|| event.chain.mark()))?;
    let history = History::follow(api.engine.journal(), aggregate, after, filter, api.catch_ups.clone());
    Ok(stream::answer(history, permit, admitted))
}

async fn page(api: &Api, request: &Parts) -> Result<Response, Problem> {
    let uri = &request.uri;
    let mut path = segments(uri).skip(1);
    let mut segment = || path.next().unwrap_or_default();
    let resource = api.resource(segment())?;
    let id = aggregate_id(segment())?;
    let parameters = Parameters::of(uri, &["after", "limit"])?;
    let token = Token::after(&parameters)?;
    let after = Version(token.number);
    let limit = api.page_limit(&parameters)?;

    // One event more than the limit tells whether there is a next page.
    let share = api.pages.share_by(Instant::now() + api.command_timeout).await?;
    let page_limit = PageLimit::events(limit + 1).bytes(api.page_bytes);
    if token.mark.is_some() && after > Version::ZERO {
        let known = resource.history(&id, Version(after.0 - 1), PageLimit::ONE).await?;
        token.check(known.first().map(|event| event.event.chain.mark()))?;
    }
    let Page { mut events, is_cut } = resource.history(&id, after, page_limit).await?;
    if events.is_empty() && !is_known(resource, &id, after).await? {
        return Err(beyond_end(&format!("the aggregate has no version {after}")));
    }
    events.truncate(limit);
    let next = events.last().filter(|_| is_cut).map(|last: &RecordedEvent| {
        let limit = parameters.get("limit").map_or(String::new(), |limit| format!("&limit={limit}"));
        let after = Token::new(last.version.0, Some(last.event.chain.mark()));
        format!("{}?after={after}{limit}", uri.path())
    });
    Ok(events_page(events, next, None, share).await)
}

/// Whether the aggregate has this version.
///
/// # Errors
/// The aggregate has no events.
async fn is_known(resource: &dyn Resource, id: &AggregateId, version: Version) -> Result<bool, Problem> {
    if version > Version::ZERO && !resource.history(id, Version(version.0 - 1), PageLimit::ONE).await?.is_empty() {
        return Ok(true);
    }
    if version == Version::ZERO || resource.history(id, Version::ZERO, PageLimit::ONE).await?.is_empty() {
        return Err(QueryError::NotFound.into());
    }
    Ok(false)
}

impl Api {
    /// The number of entries of a page: the parameter `limit`, within the configured bounds.
    pub(super) fn page_limit(&self, parameters: &Parameters<'_>) -> Result<usize, Problem> {
        let limit = parameters.number("limit")?.unwrap_or(self.page_size.into());
        let max = u64::from(self.page_size_max);
        if !(1..=max).contains(&limit) {
            return Err(invalid("limit", &format!("is not between 1 and {max}")));
        }
        Ok(usize::try_from(limit).unwrap_or(usize::MAX))
    }
}

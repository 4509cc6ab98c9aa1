//! `/admin/projections/{name}/parked`: lists, retries and skips events that could not be projected.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use dormouse_journal::PageLimit;
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Position, RecordedEvent, Version};
use dormouse_projections::store::Parked;
use dormouse_projections::{ControlError, Retried};
use serde::Deserialize;
use serde_json::json;
use tracing::{info, warn};

use super::{answer, parse_body, request_id_of};
use crate::admin::{ParkedEvent, ParkedPage};
use crate::http::address::{Parameters, aggregate_id, segments};
use crate::http::event::event_json;
use crate::http::problem::{self, Problem};
use crate::http::{Api, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryRequest {
    aggregate: String,
    id: String,
    /// Whether to report the result without changing anything.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkipRequest {
    aggregate: String,
    id: String,
    /// The event's position, so that a repeated request does not skip a second event.
    position: Position,
    #[serde(default)]
    dry_run: bool,
}

/// `GET /admin/projections/{name}/parked`: all parked events in the order of the log, page by page.
pub(super) async fn all(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let page = api.parked_page(request.uri(), None).await?;
    Ok(answer(&page))
}

/// `GET /admin/projections/{name}/parked/{type}/{id}`: those of one aggregate, with their content in the journal.
pub(super) async fn of_aggregate(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let mut path = segments(request.uri()).skip(4);
    let mut segment = || path.next().unwrap_or_default();
    let aggregate_type = segment();
    api.resource(aggregate_type)?;
    let aggregate = AggregateRef::new(known_type(aggregate_type)?, aggregate_id(segment())?);
    let mut page = api.parked_page(request.uri(), Some(&aggregate)).await?;
    let Some(first) = page.parked.first() else {
        return Err(ControlError::NotParked { aggregate }.into());
    };
    // All events of the aggregate from the first parked one on are parked, so their versions are consecutive.
    let before = Version(first.version.saturating_sub(1));
    let recorded = api.engine.journal().history(&aggregate, before, PageLimit::events(page.parked.len())).await?;
    if recorded.is_cut && recorded.len() < page.parked.len() {
        // The events are large: the rest is on another page.
        page.parked.truncate(recorded.len());
        let last = page.parked.last().map_or(0, |last| last.position);
        page.next = Some(next_page(request.uri(), &Parameters::of(request.uri(), &["after", "limit"])?, last));
    }
    for parked in &mut page.parked {
        let is_it = |event: &&RecordedEvent| event.position.0 == parked.position;
        parked.event = recorded.iter().find(is_it).map(event_json);
    }
    Ok(answer(&page))
}

/// `POST /admin/projections/{name}/retry`: projects the events of an aggregate again, in order.
pub(super) async fn retry(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let (projections, name) = api.projection(request.uri())?;
    let request_id = request_id_of(&request).map(str::to_owned);
    let RetryRequest { aggregate, id, dry_run } = parse_body(&api, request).await?;
    let aggregate = api.aggregate(&aggregate, id)?;
    if dry_run {
        return Ok(answer_released(&aggregate, &projections.dry_run(&name, &aggregate, None).await?));
    }
    let retried = projections.retry(&name, &aggregate).await?;
    let Retried { released, still_parked } = &retried;
    info!(projection = name, %aggregate, released, parked = still_parked.is_some(), request_id, "retried parked events");
    Ok(answer_released(&aggregate, &retried))
}

/// `POST /admin/projections/{name}/skip`: skips an event, and projects the later ones.
pub(super) async fn skip(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let (projections, name) = api.projection(request.uri())?;
    let request_id = request_id_of(&request).map(str::to_owned);
    let SkipRequest { aggregate, id, position, dry_run } = parse_body(&api, request).await?;
    let aggregate = api.aggregate(&aggregate, id)?;
    if dry_run {
        return Ok(answer_released(&aggregate, &projections.dry_run(&name, &aggregate, Some(position)).await?));
    }
    let retried = projections.skip(&name, &aggregate, position).await?;
    let Retried { released, still_parked } = &retried;
    // A warning, because from now on the view does not follow from the events alone.
    warn!(projection = name, %aggregate, %position, released, parked = still_parked.is_some(), request_id, "skipped an event");
    Ok(answer_released(&aggregate, &retried))
}

impl Api {
    async fn parked_page(&self, uri: &Uri, of: Option<&AggregateRef>) -> Result<ParkedPage, Problem> {
        let parameters = Parameters::of(uri, &["after", "limit"])?;
        let after = Position(parameters.number("after")?.unwrap_or(0));
        let limit = self.page_limit(&parameters)?;
        let (projections, name) = self.projection(uri)?;
        // One event more than the limit tells whether there is a next page.
        let mut parked = projections.parked(&name, of, after, limit + 1).await?;
        let has_more = parked.len() > limit;
        parked.truncate(limit);
        let last = parked.last().filter(|_| has_more);
        let next = last.map(|last| next_page(uri, &parameters, last.position.0));
        Ok(ParkedPage { parked: parked.iter().map(document_of).collect(), next })
    }

    fn aggregate(&self, aggregate_type: &str, id: String) -> Result<AggregateRef, Problem> {
        self.resource(aggregate_type)?;
        let id = AggregateId::new(id);
        let id = id.map_err(|error| Problem::new(&problem::INVALID_AGGREGATE_ID, error.to_string()))?;
        Ok(AggregateRef::new(known_type(aggregate_type)?, id))
    }
}

fn next_page(uri: &Uri, parameters: &Parameters<'_>, last: u64) -> String {
    let limit = parameters.get("limit").map_or(String::new(), |limit| format!("&limit={limit}"));
    format!("{}?after={last}{limit}", uri.path())
}

/// Parses the name of an aggregate type that the application has.
fn known_type(name: &str) -> Result<AggregateType, Problem> {
    let aggregate_type = AggregateType::new(name);
    aggregate_type.map_err(|error| Problem::new(&problem::UNKNOWN_AGGREGATE_TYPE, error.to_string()))
}

fn document_of(parked: &Parked) -> ParkedEvent {
    let Parked { aggregate, version, position, reason, attempts } = parked;
    ParkedEvent {
        aggregate: aggregate.aggregate_type.to_string(),
        id: aggregate.id.to_string(),
        version: version.0,
        position: position.0,
        reason: reason.clone(),
        attempts: *attempts,
        event: None,
    }
}

fn answer_released(aggregate: &AggregateRef, retried: &Retried) -> Response {
    json(&json!({
        "aggregate": aggregate.aggregate_type.as_str(),
        "id": aggregate.id.as_str(),
        "released": retried.released,
        "still_parked": retried.still_parked.as_ref().map(document_of),
    }))
}

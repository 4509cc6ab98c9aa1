//! `GET /v1/{type}/{id}`: the state of an aggregate, now or in the past.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use dormouse_engine::{QueryError, VersionedState};
use dormouse_journal::AsOf;
use dormouse_kernel::{AggregateId, Timestamp, Version};
use serde::Serialize;

use super::address::{Parameters, aggregate_id, invalid, segments};
use super::command_headers::{client_has, entity_tag};
use super::envelope::Arrival;
use super::problem::{self, Problem};
use super::{Api, JSON};

pub(super) async fn state(
    State(api): State<Arc<Api>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, Problem> {
    let mut path = segments(request.uri()).skip(1);
    let mut segment = || path.next().unwrap_or_default();
    let resource = api.resource(segment())?;
    let id = aggregate_id(segment())?;
    let as_of = as_of(&Parameters::of(request.uri(), &["version", "at"])?)?;
    // Also for a state of the past, the present owner counts.
    if !arrival.may_reach(resource, &id).await? {
        return Err(QueryError::NotFound.into());
    }
    resource.state(&id, as_of, request.headers()).await
}

fn as_of(parameters: &Parameters<'_>) -> Result<AsOf, Problem> {
    match (parameters.number("version")?, parameters.get("at")) {
        (None, None) => Ok(AsOf::Now),
        (Some(version), None) => Ok(AsOf::Version(Version(version))),
        (None, Some(time)) => {
            // In a query a plus sign means a blank. A time contains no blank, but its offset may contain a plus sign.
            let time = time.replace(' ', "+").parse::<Timestamp>();
            time.map(AsOf::Time).map_err(|_| invalid("at", "is not a time such as 2026-01-31T12:00:00Z (RFC 3339)"))
        }
        (Some(_), Some(_)) => Err(invalid("at", "cannot be combined with \"version\"")),
    }
}

#[derive(Serialize)]
struct StateBody<'a, A> {
    aggregate: &'static str,
    id: &'a str,
    version: u64,
    recorded_at: Timestamp,
    state: &'a A,
}

/// The response with a state; without content if the headers say that the client has it.
pub(super) fn answer<A: Serialize>(
    aggregate: &'static str,
    id: &AggregateId,
    stated: &VersionedState<A>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let mut response = Response::default();
    let tag = entity_tag(stated.version, stated.mark);
    if client_has(headers, &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let (version, recorded_at) = (stated.version.0, stated.recorded_at);
        let document = StateBody { aggregate, id: id.as_str(), version, recorded_at, state: &stated.state };
        let body = serde_json::to_vec(&document).map_err(|error| {
            Problem::new(&problem::INTERNAL, "the state cannot be written as JSON").because(error.to_string())
        })?;
        *response.body_mut() = Body::from(body);
        response.headers_mut().insert(CONTENT_TYPE, JSON);
    }
    response.headers_mut().insert(ETAG, tag);
    // A cache may keep the state, but must ask whether it is still current.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

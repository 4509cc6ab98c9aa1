//! `/admin/quarantine`: aggregates that failed too often.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use tracing::info;

use super::request_id_of;
use crate::http::address::{Parameters, aggregate_id, segments};
use crate::http::problem::{self, Problem};
use crate::http::{Api, json};

/// `GET /admin/quarantine`: the quarantined aggregates, each with its reason.
pub(super) async fn quarantine(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let types = api.engine.residency().into_iter();
    let entries: Vec<Value> = types
        .flat_map(|of_type| {
            let entry = move |(id, reason)| json!({ "aggregate": of_type.aggregate_type, "id": id, "reason": reason });
            of_type.quarantined.into_iter().map(entry)
        })
        .collect();
    Ok(json(&json!({ "quarantined": entries })))
}

/// `POST /admin/aggregates/{type}/{id}/release`: ends the quarantine of an aggregate.
pub(super) async fn release(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let mut path = segments(request.uri()).skip(2);
    let mut segment = || path.next().unwrap_or_default();
    let aggregate = segment();
    api.resource(aggregate)?;
    let id = aggregate_id(segment())?;
    if !api.engine.release(aggregate, &id) {
        return Err(Problem::new(
            &problem::NOT_QUARANTINED,
            format!("{aggregate}/{id} is not quarantined on this node"),
        ));
    }
    info!(aggregate, %id, request_id = request_id_of(&request), "released an aggregate from quarantine");
    Ok(json(&json!({ "aggregate": aggregate, "id": id, "released": true })))
}

//! `/admin/snapshots/verify`: compares snapshots with the fold of their events.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use dormouse_engine::{QueryError, SnapshotVerification};
use dormouse_kernel::{AggregateId, AggregateType};
use serde::Deserialize;
use tokio::time::Instant;
use tracing::{error, info};

use super::{answer, parse_body, request_id_of};
use crate::admin::{DifferingSnapshots, SnapshottedType, VerifiedSnapshots};
use crate::http::Api;
use crate::http::address::{Parameters, invalid};
use crate::http::problem::Problem;

/// The most aggregates that one request checks.
const AGGREGATES_MAX: usize = 100;

/// After this time a request checks no further aggregate, so that its client can show progress.
const TIME_MAX: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyRequest {
    /// The aggregate type.
    aggregate: String,
    /// One aggregate. `None`: the aggregates of the type that have snapshots, page by page.
    #[serde(default)]
    id: Option<String>,
    /// The aggregate after which the page begins.
    #[serde(default)]
    after: Option<String>,
}

/// `GET /admin/snapshots`: the aggregate types, each with the number of its aggregates that have snapshots.
pub(super) async fn types(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let mut types = Vec::with_capacity(api.resources.len());
    for name in api.resources.keys() {
        let aggregates = match AggregateType::new(*name) {
            Ok(of) => api.engine.journal().count_snapshotted(&of).await.map_err(QueryError::from)?,
            Err(_) => 0,
        };
        types.push(SnapshottedType { aggregate: (*name).to_owned(), aggregates });
    }
    Ok(answer(&types))
}

/// `POST /admin/snapshots/verify`: changes nothing. It is a `POST` because it takes long.
pub(super) async fn verify(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let request_id = request_id_of(&request).map(str::to_owned);
    let VerifyRequest { aggregate, id, after } = parse_body(&api, request).await?;
    let resource = api.resource(&aggregate)?;
    let parsed = |name, id: Option<String>| {
        id.map(AggregateId::new).transpose().map_err(|error| invalid(name, &format!("is not an id: {error}")))
    };
    let (id, after) = (parsed("id", id)?, parsed("after", after)?);
    let ids = match (&id, AggregateType::new(&aggregate)) {
        (None, Ok(aggregate_type)) => {
            let found = api.engine.journal().snapshotted(&aggregate_type, after.as_ref(), AGGREGATES_MAX).await;
            found.map_err(QueryError::from)?
        }
        _ => id.iter().cloned().collect(),
    };
    let begun = Instant::now();
    let mut result = VerifiedSnapshots::default();
    for of in &ids {
        let SnapshotVerification { compared, unused, differing } = resource.verify_snapshots(of).await?;
        result.aggregates += 1;
        result.snapshots += compared;
        result.unused += unused;
        if !differing.is_empty() {
            error!(aggregate, id = %of, ?differing, request_id, "snapshots differ from the states of their events");
            let versions = differing.iter().map(|version| version.0).collect();
            result.differing.push(DifferingSnapshots { id: of.to_string(), versions });
        }
        let is_last = id.is_some() || ids.len() < AGGREGATES_MAX && Some(of) == ids.last();
        result.next = (!is_last).then(|| of.to_string());
        if begun.elapsed() >= TIME_MAX {
            break;
        }
    }
    info!(aggregate, aggregates = result.aggregates, snapshots = result.snapshots, request_id, "verified snapshots");
    Ok(answer(&result))
}

//! `/admin/snapshots/verify`: snapshots held against the fold of their events.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use dormouse_engine::{QueryError, SnapshotVerification};
use dormouse_kernel::{AggregateId, AggregateType};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::{error, info};

use super::{said, who};
use crate::admin::{DifferingSnapshots, SnapshottedType, VerifiedSnapshots};
use crate::http::address::{Parameters, invalid};
use crate::http::problem::{self, Problem};
use crate::http::{Api, json};

/// Aggregates that one request looks at, at most.
const AGGREGATES: usize = 100;

/// A request looks at no further aggregate after so long: its client wants to know how far it is.
const WORK: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// The aggregate type.
    aggregate: String,
    /// One aggregate; none: page by page those of the type that have snapshots.
    #[serde(default)]
    id: Option<String>,
    /// The page behind this aggregate.
    #[serde(default)]
    after: Option<String>,
}

/// `GET /admin/snapshots`: the aggregate types, each with how many aggregates have snapshots.
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
    written(&types)
}

/// `POST /admin/snapshots/verify`: changes nothing; it is a `POST` because it is work.
pub(super) async fn verify(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let request_id = who(&request).map(str::to_owned);
    let Order { aggregate, id, after } = said(&api, request).await?;
    let resource = api.resource(&aggregate)?;
    let parsed = |name, id: Option<String>| {
        id.map(AggregateId::new).transpose().map_err(|error| invalid(name, &format!("is no id: {error}")))
    };
    let (id, after) = (parsed("id", id)?, parsed("after", after)?);
    let ids = match (&id, AggregateType::new(&aggregate)) {
        (None, Ok(aggregate_type)) => {
            let found = api.engine.journal().snapshotted(&aggregate_type, after.as_ref(), AGGREGATES).await;
            found.map_err(QueryError::from)?
        }
        _ => id.iter().cloned().collect(),
    };
    let begun = Instant::now();
    let mut told = VerifiedSnapshots::default();
    for of in &ids {
        let SnapshotVerification { compared, unused, differing } = resource.verify_snapshots(of).await?;
        told.aggregates += 1;
        told.snapshots += compared;
        told.unused += unused;
        if !differing.is_empty() {
            error!(aggregate, id = %of, ?differing, request_id, "snapshots differ from what their events lead to");
            let versions = differing.iter().map(|version| version.0).collect();
            told.differing.push(DifferingSnapshots { id: of.to_string(), versions });
        }
        let is_last = id.is_some() || ids.len() < AGGREGATES && Some(of) == ids.last();
        told.next = (!is_last).then(|| of.to_string());
        if begun.elapsed() >= WORK {
            break;
        }
    }
    info!(aggregate, aggregates = told.aggregates, snapshots = told.snapshots, request_id, "verified snapshots");
    written(&told)
}

fn written(told: &impl Serialize) -> Result<Response, Problem> {
    let told = serde_json::to_value(told).map_err(|error| Problem::new(&problem::INTERNAL, error.to_string()))?;
    Ok(json(&told))
}

//! `/v1/views`: the documents of projections, by key and as lists.
//!
//! A [`ServedView`] has everything that the routes need of one view. `freshness` waits until the view contains a
//! write. `answer` writes entity tags and the rules for caches. `document` and `list` are the two queries. `filters`,
//! `cursor` and `selection` parse the parameters of a list.

mod answer;
mod cursor;
pub(super) mod document;
mod filters;
mod freshness;
pub(super) mod list;
mod own;
mod selection;
mod shape;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::response::Response;
use dormouse_config::Config;
use dormouse_kernel::Position;
use dormouse_projections::{Definition, Kind, Projections, Reader, State as ProjectionState};
use dormouse_storage::postgres::ReplicaStatus;
use metrics::{Counter, Histogram, counter, histogram};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::warn;

use super::address::{Parameters, decoded};
use super::commands::unknown;
use super::health::StallTimer;
use super::problem::{self, Problem};
use super::token::Token;
use super::{Api, json};
use crate::metric;
pub(super) use shape::Shape;

/// The views of an application, with the settings for reading them.
pub(super) struct Views {
    projections: Option<Projections>,
    served: BTreeMap<&'static str, ServedView>,
    slow_after: Duration,
    cache_control: HeaderValue,
    /// The longest wait for a position.
    wait_max: Duration,
    /// The time after its arrival at which a request must stop waiting.
    wait_deadline: Duration,
    pub(super) stalled_after: Duration,
}

/// A view that is served.
pub(super) struct ServedView {
    pub(super) reader: Reader,
    pub(super) stall_timer: StallTimer,
    /// The schema of its documents.
    shape: Shape,
    one: QueryType,
    all: QueryType,
}

/// The metrics of one type of query.
struct QueryType {
    name: String,
    duration: Histogram,
    results: Histogram,
    slow: Counter,
}

impl Views {
    /// The views of `projections`. `shapes` has the schemas of their documents. `knows_callers`: callers are
    /// authenticated.
    pub(super) fn new(
        config: &Config,
        projections: Option<&Projections>,
        mut shapes: BTreeMap<&'static str, Shape>,
        knows_callers: bool,
    ) -> Self {
        let readers = projections.into_iter().flat_map(Projections::readers);
        let served = readers.map(|reader| {
            let definition = reader.definition();
            let shape = shapes.remove(definition.name()).unwrap_or_default();
            let (one, all) = (QueryType::new(definition.query_one()), QueryType::new(definition.query_all()));
            (
                definition.name(),
                ServedView { reader: reader.clone(), stall_timer: StallTimer::default(), shape, one, all },
            )
        });
        let request_timeout = config.gateway.request_timeout;
        Self {
            projections: projections.cloned(),
            served: served.collect(),
            slow_after: config.views.slow_after,
            cache_control: answer::cache_control(config.views.max_age, knows_callers),
            wait_max: config.views.wait_timeout,
            wait_deadline: request_timeout.saturating_sub(freshness::margin(request_timeout)),
            stalled_after: config.projections.stalled_after,
        }
    }

    /// The status of the replicas from which views are read.
    pub(super) fn replicas(&self) -> Vec<ReplicaStatus> {
        self.projections.as_ref().map(Projections::replicas).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ServedView> {
        self.served.values()
    }

    /// Finds a view by its path segment.
    fn find(&self, segment: &str) -> Result<&ServedView, Problem> {
        let name = decoded(segment).unwrap_or_default();
        self.served.get(name.as_ref()).ok_or_else(|| {
            let known = self.served.keys().copied();
            unknown(&problem::UNKNOWN_VIEW, &format!("there is no view {name:?}"), &name, known)
        })
    }

    /// Records a query in the metrics, and logs it if it was slow.
    fn record(&self, query: &QueryType, view: &Definition, started: Instant, results: usize, address: Option<&str>) {
        let elapsed = started.elapsed();
        query.duration.record(elapsed);
        query.results.record(results as f64);
        if elapsed > self.slow_after {
            query.slow.increment(1);
            warn!(view = view.name(), query = query.name, address, results, ?elapsed, "a slow query");
        }
    }
}

impl ServedView {
    /// The token of the position of a result, which a reader may send back. It has a mark only if the result is at the
    /// latest position of the view, as nearly all results are.
    fn token(&self, at: Position) -> Token {
        let progress = self.reader.progress();
        let progress = progress.borrow();
        Token::new(at.0, progress.mark.filter(|_| progress.position == at))
    }

    pub(super) fn definition(&self) -> &Definition {
        self.reader.definition()
    }
}

impl QueryType {
    fn new(name: &str) -> Self {
        let label = || [("query_type", name.to_owned())];
        Self {
            name: name.to_owned(),
            duration: histogram!(metric::QUERY_DURATION, &label()),
            results: histogram!(metric::QUERY_RESULT_COUNT, &label()),
            slow: counter!(metric::SLOW_QUERIES, &label()),
        }
    }
}

/// `GET /v1/views`: the views, their fields for filters and orders, and their positions.
pub(super) async fn all(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let described = |served: &ServedView| {
        let definition = served.definition();
        let progress = served.reader.progress().borrow().clone();
        let fields = definition.fields().iter();
        let fields: Vec<Value> =
            fields.map(|field| json!({ "path": field.path, "kind": kind_name(field.kind) })).collect();
        json!({
            "name": definition.name(),
            "version": definition.version(),
            "fields": fields,
            "position": progress.position,
            "state": state_name(&progress.state),
        })
    };
    Ok(json(&json!({ "views": api.views.iter().map(described).collect::<Vec<_>>() })))
}

/// The name that clients see for the type of a declared field.
pub(super) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Integer => "integer",
        Kind::Real => "real",
        Kind::Boolean => "boolean",
    }
}

/// The state of a projection in one word. Its reason is for the log only, because it may name hosts, paths or code.
pub(super) const fn state_name(state: &ProjectionState) -> &'static str {
    match state {
        ProjectionState::Starting => "starting",
        ProjectionState::Running => "running",
        ProjectionState::Outdated => "outdated",
        ProjectionState::Retrying(_) => "retrying",
        ProjectionState::Paused => "paused",
        ProjectionState::Stopped(_) => "stopped",
        ProjectionState::Dropped => "dropped",
        ProjectionState::Ended => "ended",
    }
}

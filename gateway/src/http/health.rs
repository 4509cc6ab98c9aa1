//! `/health`: whether the process is alive, whether it is ready, and the status of each component.

mod cache;
mod modules;
mod projections;
mod queues;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use dormouse_engine::Lifecycle;
use dormouse_journal::Health;
use dormouse_kernel::Timestamp;
use dormouse_storage::postgres::ReplicaStatus;
use serde_json::{Map, Value, json};

use super::address::{decoded, segments};
use super::commands::unknown;
use super::problem::{self, Problem};
use super::{Api, json};
pub(super) use projections::StallTimer;
pub(super) use queues::ListenerStallTimers;

/// How long the storage may take to report the end of its log. Probes give up after a second or two.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

const COMPONENTS: [&str; 8] =
    ["aggregates", "cache", "database", "event-store", "modules", "projections", "queues", "runtime"];

/// Ordered from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Ok,
    Degraded,
    Down,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }

    const fn code(self) -> StatusCode {
        match self {
            Self::Ok | Self::Degraded => StatusCode::OK,
            Self::Down => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The status of one component, with details.
struct Check {
    status: Status,
    details: Map<String, Value>,
}

impl Check {
    fn new<const N: usize>(status: Status, details: [(&str, Value); N]) -> Self {
        Self { status, details: details.map(|(name, value)| (name.to_owned(), value)).into_iter().collect() }
    }

    fn json(self) -> Value {
        let mut shown = Map::from_iter([("status".to_owned(), self.status.as_str().into())]);
        shown.extend(self.details);
        Value::Object(shown)
    }
}

/// `GET /health`: all components. `database` and `eventStore` are repeated for monitors that expect these names.
pub(super) async fn all(State(api): State<Arc<Api>>) -> Response {
    let mut worst = Status::Ok;
    let mut checks = Map::new();
    let brief = |check: &Check, name| check.details.get(name).cloned().unwrap_or_default();
    let (mut database, mut event_store) = (Value::Null, Value::Null);
    for name in COMPONENTS {
        let Some(check) = api.check_component(name).await else { continue };
        worst = worst.max(check.status);
        match name {
            "database" => database = brief(&check, "connection"),
            "event-store" => event_store = brief(&check, "writer"),
            _ => {}
        }
        checks.insert(name.to_owned(), check.json());
    }
    let shown = json!({ "checks": checks, "database": database, "eventStore": event_store });
    answer(worst.as_str(), worst.code(), shown)
}

/// `GET /health/live`: any response shows that the process is alive.
pub(super) async fn live() -> Response {
    answer(Status::Ok.as_str(), StatusCode::OK, json!({}))
}

/// `GET /health/ready`: whether to send requests here.
pub(super) async fn ready(State(api): State<Arc<Api>>) -> Response {
    let runtime = api.runtime();
    let event_store = api.event_store();
    let worst = runtime.status.max(event_store.status);
    let code = if worst == Status::Ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let status = match &runtime.details["lifecycle"] {
        // The node is leaving or draining: it still works, but no more clients should be sent to it.
        Value::String(lifecycle) if worst == Status::Degraded => lifecycle.clone(),
        _ => worst.as_str().to_owned(),
    };
    answer(&status, code, json!({ "checks": { "runtime": runtime.json(), "event-store": event_store.json() } }))
}

/// `GET /health/{component}`
pub(super) async fn component(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let segment = segments(request.uri()).nth(1).unwrap_or_default();
    let name = decoded(segment).unwrap_or_default();
    let Some(check) = api.check_component(&name).await else {
        let known = COMPONENTS.into_iter().chain(["live", "ready"]);
        let what = format!("there is no component {name:?}");
        return Err(unknown(&problem::UNKNOWN_HEALTH_COMPONENT, &what, &name, known));
    };
    let (status, code) = (check.status, check.status.code());
    Ok(answer(status.as_str(), code, Value::Object(check.details)))
}

impl Api {
    async fn check_component(&self, name: &str) -> Option<Check> {
        Some(match name {
            "aggregates" => self.aggregates(),
            "cache" => self.cache(),
            "database" => self.database().await,
            "event-store" => self.event_store(),
            "modules" => self.modules(),
            "projections" => self.projections().await,
            "queues" => self.queues().await,
            "runtime" => self.runtime(),
            _ => return None,
        })
    }

    fn runtime(&self) -> Check {
        let (status, lifecycle) = match *self.engine.lifecycle().borrow() {
            Lifecycle::Running => (Status::Ok, "running"),
            Lifecycle::Leaving => (Status::Degraded, "leaving"),
            Lifecycle::Draining => (Status::Degraded, "draining"),
            Lifecycle::Stopped => (Status::Down, "stopped"),
            Lifecycle::Failed(_) => (Status::Down, "failed"),
        };
        Check::new(status, [("lifecycle", lifecycle.into())])
    }

    fn aggregates(&self) -> Check {
        let residency = self.engine.residency();
        let quarantined: usize = residency.iter().map(|of_type| of_type.quarantined.len()).sum();
        let live: usize = residency.iter().map(|of_type| of_type.live).sum();
        let ignored = residency
            .iter()
            .filter_map(|of_type| Some((of_type.aggregate_type.to_owned(), of_type.snapshots_ignored.clone()?.into())));
        let ignored: Map<String, Value> = ignored.collect();
        let clock_behind = self.engine.clock_behind();
        let is_well = quarantined == 0 && ignored.is_empty() && clock_behind.is_none();
        let status = if is_well { Status::Ok } else { Status::Degraded };
        let mut check = Check::new(status, [("live", live.into()), ("quarantined", quarantined.into())]);
        if !ignored.is_empty() {
            // The aggregates are correct, but take longer to wake.
            check.details.insert("snapshots_ignored".to_owned(), ignored.into());
        }
        // Either this clock is behind, or the newest event was recorded under a wrong clock: see docs/operations.md.
        let behind = clock_behind.map(|behind| ("clock_behind_seconds".to_owned(), behind.as_secs().into()));
        check.details.extend(behind);
        check
    }

    async fn database(&self) -> Check {
        let started = tokio::time::Instant::now();
        let (status, connection) = match tokio::time::timeout(PING_TIMEOUT, self.engine.journal().ping()).await {
            Ok(Ok(_)) => (Status::Ok, "connected"),
            Ok(Err(_)) => (Status::Down, "unreachable"),
            Err(_) => (Status::Down, "silent"),
        };
        let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        let (journal, views) = (self.engine.journal().replicas(), self.views.replicas());
        // The primary answers in place of a replica that cannot be used, so the status does not depend on replicas.
        let replicas = json!({ "journal": replicas(journal), "views": replicas(views) });
        let details = [("connection", connection.into()), ("ping_ms", milliseconds.into()), ("replicas", replicas)];
        Check::new(status, details)
    }

    fn event_store(&self) -> Check {
        let health = self.engine.journal().health();
        // The writer owns the sender of this channel. If it is dropped while the value is `Ready`, the writer has
        // panicked.
        let has_died = health.has_changed().is_err();
        let stalled = self.engine.journal().stalled();
        let (status, writer) = match *health.borrow() {
            Health::Ready if has_died => (Status::Down, "dead"),
            Health::Ready if stalled.is_some() => (Status::Down, "stalled"),
            Health::Ready => (Status::Ok, "ready"),
            Health::Recovering(_) => (Status::Down, "recovering"),
            Health::Full(_) => (Status::Down, "full"),
            Health::Fenced => (Status::Down, "fenced"),
            Health::Closed => (Status::Down, "closed"),
        };
        let head = self.engine.journal().head().borrow().0;
        let mut check = Check::new(status, [("writer", writer.into()), ("head", head.into())]);
        let reason = stalled.map(|stalled| format!("no commit has ended for {} s", stalled.as_secs()));
        check.details.extend(reason.map(|reason| ("reason".to_owned(), reason.into())));
        check
    }
}

fn replicas(statuses: Vec<ReplicaStatus>) -> Vec<Value> {
    let shown = |status: ReplicaStatus| {
        let ReplicaStatus { place, lag, problem } = status;
        json!({ "url": place, "fit": problem.is_none(), "lag": lag, "reason": problem })
    };
    statuses.into_iter().map(shown).collect()
}

fn answer(status: &str, code: StatusCode, mut shown: Value) -> Response {
    shown["status"] = status.into();
    shown["timestamp"] = Timestamp::now().to_string().into();
    let mut response = json(&shown);
    *response.status_mut() = code;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

//! `/admin/projections`: the state of the projections, and the operations on them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use dormouse_kernel::Position;
use dormouse_projections::{Progress, Projections, State as ProjectionState};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{answer, parse_body, request_id_of};
use crate::admin::{Overview, Projection, Rebuild};
use crate::http::address::{Parameters, decoded, segments};
use crate::http::commands::unknown;
use crate::http::problem::{self, Problem};
use crate::http::views::state_name;
use crate::http::{Api, json};

/// How long a response waits for a rebuild to become visible. After that the response is sent without it, and the
/// client has to poll.
const BEGINNING: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RebuildRequest {
    /// Whether a rebuild in progress is discarded.
    #[serde(default)]
    start_over: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetRequest {
    /// The last event that is left out.
    to: Position,
}

/// `GET /admin/projections`
pub(super) async fn all(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let progress = api.projections.as_ref().map(Projections::progress).unwrap_or_default();
    let head = api.head(&progress);
    // The list is returned even if the orphans are unknown: an operator may look here because the views do not answer.
    let orphans = match &api.projections {
        Some(projections) => {
            projections.orphans().await.inspect_err(|error| warn!(%error, "cannot look for orphaned views")).ok()
        }
        None => Some(Vec::new()),
    };
    let mut projections: Vec<_> = progress.iter().map(|progress| document_of(progress, head)).collect();
    projections.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(answer(&Overview { head: head.0, projections, orphans }))
}

/// `GET /admin/projections/{name}`
pub(super) async fn one(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let (_, name) = api.projection(request.uri())?;
    api.answer_projection(&name)
}

/// `POST /admin/projections/{name}/pause`
pub(super) async fn pause(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let (projections, name) = api.projection(request.uri())?;
    projections.pause(&name).await?;
    info!(projection = name, request_id = request_id_of(&request), "paused a projection");
    api.answer_projection(&name)
}

/// `POST /admin/projections/{name}/resume`
pub(super) async fn resume(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let (projections, name) = api.projection(request.uri())?;
    projections.resume(&name).await?;
    info!(projection = name, request_id = request_id_of(&request), "resumed a projection");
    api.answer_projection(&name)
}

/// `POST /admin/projections/{name}/rebuild`: answers when the rebuild has begun.
pub(super) async fn rebuild(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let (projections, name) = api.projection(request.uri())?;
    let request_id = request_id_of(&request).map(str::to_owned);
    let RebuildRequest { start_over } = parse_body(&api, request).await?;
    let mut progress = projections.reader(&name).map(dormouse_projections::Reader::progress);
    let before = progress.as_ref().and_then(|progress| progress.borrow().build);
    projections.rebuild(&name, start_over).await?;
    info!(projection = name, start_over, request_id, "began to rebuild a view");
    if let Some(progress) = &mut progress {
        let has_begun = |progress: &Progress| progress.rebuild.is_some() || progress.build != before;
        // The rebuild has begun in any case, so a timeout is no error.
        let _seen = timeout(BEGINNING, progress.wait_for(has_begun)).await.is_ok();
    }
    api.answer_projection(&name)
}

/// `POST /admin/projections/{name}/reset`
pub(super) async fn reset(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let (projections, name) = api.projection(request.uri())?;
    let request_id = request_id_of(&request).map(str::to_owned);
    let ResetRequest { to } = parse_body(&api, request).await?;
    projections.reset(&name, to).await?;
    info!(projection = name, %to, request_id, "reset a projection");
    api.answer_projection(&name)
}

/// `DELETE /admin/projections/{name}`: drops a view, also one whose projection was removed from the application.
pub(super) async fn drop(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let name = name_in(request.uri());
    let Some(projections) = &api.projections else { return Err(api.unknown_projection(&name)) };
    projections.drop_view(&name).await?;
    info!(projection = name, request_id = request_id_of(&request), "dropped a view");
    Ok(json(&json!({ "name": name, "dropped": true })))
}

impl Api {
    /// The name of the projection in the path, with the projections that it belongs to.
    pub(super) fn projection(&self, uri: &Uri) -> Result<(&Projections, String), Problem> {
        let name = name_in(uri);
        match &self.projections {
            Some(projections) if projections.reader(&name).is_some() => Ok((projections, name)),
            _ => Err(self.unknown_projection(&name)),
        }
    }

    fn unknown_projection(&self, name: &str) -> Problem {
        let known = self.projections.iter().flat_map(Projections::readers).map(|reader| reader.definition().name());
        unknown(&problem::UNKNOWN_PROJECTION, &format!("there is no projection {name:?}"), name, known)
    }

    /// The last event of the log, as far as this node knows. Other nodes append too, and a view may have read their
    /// events.
    fn head(&self, progress: &[Progress]) -> Position {
        let known = *self.engine.journal().head().borrow();
        progress.iter().map(|progress| progress.position).fold(known, Position::max)
    }

    fn answer_projection(&self, name: &str) -> Result<Response, Problem> {
        let progress = self.projections.as_ref().map(Projections::progress).unwrap_or_default();
        let head = self.head(&progress);
        let found = progress.iter().find(|progress| progress.name == name);
        found.map(|progress| answer(&document_of(progress, head))).ok_or_else(|| self.unknown_projection(name))
    }
}

/// The name of the projection in the path.
fn name_in(uri: &Uri) -> String {
    let segment = segments(uri).nth(2).unwrap_or_default();
    decoded(segment).unwrap_or_default().into_owned()
}

fn document_of(progress: &Progress, head: Position) -> Projection {
    let lag = |position: Position| head.0.saturating_sub(position.0);
    let rebuild = progress.rebuild.as_ref().map(|rebuild| Rebuild {
        build: rebuild.build.0,
        version: rebuild.version,
        state: state_name(&rebuild.state).to_owned(),
        reason: reason(&rebuild.state),
        started_at: rebuild.started_at,
        position: rebuild.position.0,
        lag: lag(rebuild.position),
        events_per_second: rebuild.events_per_second,
        seconds_left: rebuild.remaining(head).map(|left| left.as_secs_f64()),
    });
    Projection {
        name: progress.name.to_owned(),
        state: state_name(&progress.state).to_owned(),
        reason: reason(&progress.state),
        build: progress.build.map(|build| build.0),
        version: progress.version,
        position: progress.position.0,
        lag: lag(progress.position),
        begun_after: progress.begun_after.0,
        parked: progress.parked,
        rebuild,
    }
}

fn reason(state: &ProjectionState) -> Option<String> {
    match state {
        ProjectionState::Retrying(reason) | ProjectionState::Stopped(reason) => Some(reason.clone()),
        _ => None,
    }
}

//! `/admin/failed`: dead letters, and other jobs that have failed.

pub(super) mod many;
mod selection;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use dormouse_journal::PageLimit;
use dormouse_kernel::Position;
use dormouse_messaging::store::{JobId, JobRow, JobState, JobStateName};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::{answer, request_id_of};
use crate::admin::{FailedAttempt, FailedJob, FailedPage};
use crate::http::address::{Parameters, segments};
use crate::http::event::event_json;
use crate::http::problem::{self, Problem};
use crate::http::{Api, json};
use selection::{Selection, id_text, parse_id};

/// `GET /admin/failed`: the dead letters of one listener or of all, the oldest of each first, page by page.
pub(super) async fn all(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let uri = request.uri().clone();
    let parameters = Parameters::of(&uri, &["listener", "limit", "after"])?;
    let limit = api.page_limit(&parameters)?;
    let selection = Selection::of(&api, &parameters)?;
    let dead = selection.dead(&api).await?;
    let mut failed = Vec::new();
    for (listener, after) in selection.places() {
        // One job more than the limit tells whether there is a next page.
        let missing = limit + 1 - failed.len();
        if missing == 0 {
            break;
        }
        if dead.of(listener) > 0 {
            let rows = api.messaging.jobs(listener, JobStateName::Dead, after, missing).await?;
            failed.extend(rows.into_iter().map(|row| (listener, row)));
        }
    }
    let has_more = failed.len() > limit;
    failed.truncate(limit);
    let last = failed.last().filter(|_| has_more);
    let next = last.map(|(listener, row)| selection.next(&uri, listener, row.id));
    let failed = failed.iter().map(|(listener, row)| document_of(listener, row)).collect();
    Ok(answer(&FailedPage { failed, dead: dead.total(), next }))
}

/// `GET /admin/failed/{listener}/{id}`: a job with all of its attempts and its event, whether or not it is a dead letter.
pub(super) async fn one(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let (listener, id) = api.job(request.uri())?;
    let row = api.messaging.job(&listener, id).await?;
    let mut shown = document_of(&listener, &row);
    let failures = row.attempts.iter().map(|attempt| FailedAttempt { at: attempt.at, error: attempt.error.clone() });
    shown.failures = Some(failures.collect());
    shown.content = api.event_at(id.position).await?;
    Ok(answer(&shown))
}

/// `POST /admin/failed/{listener}/{id}/retry`: attempts a dead letter again, with all of its tries.
pub(super) async fn retry(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let (listener, id) = api.job(request.uri())?;
    api.messaging.retry(&listener, id).await?;
    let id = id_text(id);
    info!(listener, job = id, request_id = request_id_of(&request), "retried a dead letter");
    Ok(json(&json!({ "listener": listener, "id": id, "retried": true })))
}

/// `POST /admin/failed/{listener}/{id}/skip`: gives a job up. The jobs that wait behind it go on.
pub(super) async fn skip(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let (listener, id) = api.job(request.uri())?;
    api.messaging.skip(&listener, id).await?;
    let id = id_text(id);
    // A warning, because what the job had to do is never done.
    warn!(listener, job = id, request_id = request_id_of(&request), "skipped a failed job");
    Ok(json(&json!({ "listener": listener, "id": id, "skipped": true })))
}

impl Api {
    /// The listener and the id of the job in the path.
    fn job(&self, uri: &Uri) -> Result<(String, JobId), Problem> {
        let listener = self.listener(uri)?;
        let text = segments(uri).nth(3).unwrap_or_default();
        let id = parse_id(text).ok_or_else(|| {
            Problem::new(&problem::INVALID_JOB_ID, format!("{text:?} is not the id of a job, such as 1234 or 1234.5"))
        })?;
        Ok((listener, id))
    }

    /// The event at a position, as the journal has it.
    async fn event_at(&self, position: Position) -> Result<Option<Value>, Problem> {
        let before = Position(position.0.saturating_sub(1));
        let page = self.engine.journal().read_log(before, PageLimit::ONE).await?;
        Ok(page.first().filter(|recorded| recorded.position == position).map(event_json))
    }
}

fn document_of(listener: &str, row: &JobRow) -> FailedJob {
    let last = row.attempts.last();
    let due = match row.state {
        JobState::Waiting { due } => Some(due),
        JobState::Blocked | JobState::Dead => None,
    };
    let state = match row.state.name() {
        JobStateName::Waiting => "waiting",
        JobStateName::Blocked => "blocked",
        JobStateName::Dead => "dead",
    };
    FailedJob {
        listener: listener.to_owned(),
        id: id_text(row.id),
        sequence: row.sequence.to_string(),
        version: row.version.0,
        event: row.subject.clone(),
        state: state.to_owned(),
        due,
        attempts: row.attempts.len(),
        attempts_allowed: row.attempts_allowed,
        error: last.map(|attempt| attempt.error.clone()),
        failed_at: last.map(|attempt| attempt.at),
        failures: None,
        content: None,
    }
}

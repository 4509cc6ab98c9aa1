//! `/admin/failed/retry` and `/admin/failed/flush`: many dead letters in one request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use dormouse_messaging::DeadPage;
use tracing::{info, warn};

use super::selection::Selection;
use crate::admin::Released;
use crate::http::Api;
use crate::http::address::{Parameters, invalid};
use crate::http::admin::{answer, request_id_of};
use crate::http::problem::Problem;

/// The most dead letters of one request. A client that has more repeats the request, and can show its progress.
const JOBS_MAX: u64 = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Retry,
    Flush,
}

/// `POST /admin/failed/retry`: attempts dead letters again, the oldest first.
pub(in crate::http::admin) async fn retry(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    api.release(request, Action::Retry).await
}

/// `POST /admin/failed/flush`: gives dead letters up, the oldest first.
pub(in crate::http::admin) async fn flush(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    api.release(request, Action::Flush).await
}

impl Api {
    async fn release(&self, request: Request, action: Action) -> Result<Response, Problem> {
        let uri = request.uri().clone();
        let parameters = Parameters::of(&uri, &["listener", "limit", "after"])?;
        let limit = limit(&parameters)?;
        let selection = Selection::of(self, &parameters)?;
        let before = selection.dead(self).await?;
        let (mut done, mut next) = (0, None);
        for (listener, after) in selection.places().filter(|(listener, _)| before.of(listener) > 0) {
            let missing = limit - done;
            let DeadPage { count, last } = match action {
                Action::Retry => self.messaging.retry_dead_after(listener, after, missing).await?,
                Action::Flush => self.messaging.skip_dead_after(listener, after, missing).await?,
            };
            done += count;
            if let Some(last) = last.filter(|_| done == limit) {
                next = Some(selection.next(&uri, listener, last));
                break;
            }
        }
        let left = selection.dead(self).await?.total();
        let (request_id, listener) = (request_id_of(&request), parameters.get("listener"));
        match action {
            Action::Retry => info!(listener, done, left, request_id, "retried dead letters"),
            // A warning, because what the jobs had to do is never done.
            Action::Flush => warn!(listener, done, left, request_id, "flushed dead letters"),
        }
        Ok(answer(&Released { done, left, next }))
    }
}

fn limit(parameters: &Parameters<'_>) -> Result<usize, Problem> {
    let limit = parameters.number("limit")?.unwrap_or(JOBS_MAX);
    let limit = usize::try_from(limit).ok().filter(|_| (1..=JOBS_MAX).contains(&limit));
    limit.ok_or_else(|| invalid("limit", &format!("is not between 1 and {JOBS_MAX}")))
}

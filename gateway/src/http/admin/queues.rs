//! `/admin/queues`: what the queues do, and for which listeners.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use dormouse_messaging::QueueInfo;

use super::answer;
use crate::admin::{Queue, Queues};
use crate::http::Api;
use crate::http::address::Parameters;
use crate::http::problem::Problem;

/// `GET /admin/queues`
pub(super) async fn all(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let consumers = api.messaging.states();
    let document_of = |QueueInfo { name, depth, workers, running }| {
        let listeners = consumers.iter().filter(|info| info.queue == name);
        let listeners = listeners.map(|info| info.name.to_string()).collect();
        Queue { name: name.to_owned(), depth, workers, running, listeners }
    };
    Ok(answer(&Queues { queues: api.messaging.queues().into_iter().map(document_of).collect() }))
}

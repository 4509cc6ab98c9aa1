//! `/admin`: what operators look at and change, on this node only.
//!
//! Every change is logged with the id of its request.

mod audit;
mod cache;
mod catalogue;
mod config;
mod encryption;
mod failed;
mod listeners;
mod parked;
mod permissions;
mod projections;
mod quarantine;
mod queues;
mod snapshots;
mod timers;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::Instant;

pub(super) use catalogue::CatalogueBuilder;
pub(super) use config::LiveConfig;

use super::audit::Details;
use super::envelope::Arrival;
use super::problem::{self, Problem};
use super::{Api, body, json};

/// All routes below `/admin`.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/admin/quarantine", get(quarantine::quarantine))
        .route("/admin/aggregates/{type}/{id}/release", post(quarantine::release))
        .route("/admin/projections", get(projections::all))
        .route("/admin/projections/{name}", get(projections::one).delete(projections::drop))
        .route("/admin/projections/{name}/pause", post(projections::pause))
        .route("/admin/projections/{name}/resume", post(projections::resume))
        .route("/admin/projections/{name}/rebuild", post(projections::rebuild))
        .route("/admin/projections/{name}/reset", post(projections::reset))
        .route("/admin/projections/{name}/retry", post(parked::retry))
        .route("/admin/projections/{name}/skip", post(parked::skip))
        .route("/admin/projections/{name}/parked", get(parked::all))
        .route("/admin/projections/{name}/parked/{type}/{id}", get(parked::of_aggregate))
        .route("/admin/listeners", get(listeners::all))
        .route("/admin/listeners/{name}/pause", post(listeners::pause))
        .route("/admin/listeners/{name}/resume", post(listeners::resume))
        .route("/admin/listeners/{name}/enable", post(listeners::enable))
        .route("/admin/listeners/{name}/disable", post(listeners::disable))
        .route("/admin/queues", get(queues::all))
        .route("/admin/failed", get(failed::all))
        .route("/admin/failed/retry", post(failed::many::retry))
        .route("/admin/failed/flush", post(failed::many::flush))
        .route("/admin/failed/{listener}/{id}", get(failed::one))
        .route("/admin/failed/{listener}/{id}/retry", post(failed::retry))
        .route("/admin/failed/{listener}/{id}/skip", post(failed::skip))
        .route("/admin/timers", get(timers::all))
        .route("/admin/catalogue", get(catalogue::show))
        .route("/admin/snapshots", get(snapshots::types))
        .route("/admin/snapshots/verify", post(snapshots::verify))
        .route("/admin/cache", get(cache::stats))
        .route("/admin/cache/clear", post(cache::clear))
        .route("/admin/webhooks", get(webhooks::all).post(webhooks::add))
        .route("/admin/webhooks/{id}", get(webhooks::one).patch(webhooks::change).delete(webhooks::remove))
        .route("/admin/webhooks/{id}/deliveries", get(webhooks::deliveries))
        .route("/admin/webhooks/{id}/deliveries/{event}/repeat", post(webhooks::repeat))
        .route("/admin/audit", get(audit::entries_page))
        .route("/admin/audit/head", get(audit::head))
        .route("/admin/encryption", get(encryption::show))
        .route("/admin/subjects/{subject}/forget", post(encryption::forget))
        .route("/admin/permissions", get(permissions::show))
        .route("/admin/config", get(config::show).patch(config::change))
}

/// The id of the request, for the log.
fn request_id_of(request: &Request) -> Option<&str> {
    request.extensions().get::<Arrival>().map(Arrival::request_id)
}

/// Parses the body of a request. An empty body counts as an object without members.
pub(super) async fn parse_body<T: DeserializeOwned>(api: &Api, request: Request) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    let arrived = parts.extensions.get::<Arrival>().map_or_else(Instant::now, |arrival| arrival.at);
    let bytes: Bytes = body::read(&parts.headers, body, api.max_body, arrived + api.command_timeout).await?;
    if let Some(details) = parts.extensions.get::<Details>() {
        details.add_body(&bytes);
    }
    let text: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(text).map_err(|error| {
        let problem_type = match error.classify() {
            Category::Data => &problem::INVALID_BODY,
            _ => &problem::MALFORMED_JSON,
        };
        Problem::new(problem_type, error.to_string())
    })
}

/// The response with a document of the admin API. Names, numbers and texts can always be written as JSON.
fn answer(document: &impl Serialize) -> Response {
    json(&serde_json::to_value(document).unwrap_or_default())
}

//! `/admin/webhooks`: adds, changes and removes webhooks, and shows and repeats their deliveries.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use tracing::info;

use super::{answer, parse_body, request_id_of};
use crate::admin::{NewWebhook, WebhookChange, WebhookDeliveries, WebhookFilter, WebhookList};
use crate::http::Api;
use crate::http::address::{Parameters, segments};
use crate::http::commands::unknown;
use crate::http::problem::{self, Problem};
use crate::webhooks::Webhooks;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RepeatRequest {
    /// The position of the event, if it is not among the latest deliveries.
    #[serde(default)]
    position: Option<u64>,
}

/// `GET /admin/webhooks`
pub(super) async fn all(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    Ok(answer(&WebhookList { webhooks: api.webhooks()?.all() }))
}

/// `GET /admin/webhooks/{id}`
pub(super) async fn one(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    Ok(answer(&api.webhooks()?.one(&id_of(&request))?))
}

/// `POST /admin/webhooks`: adds a webhook. The answer has its secret, which is not shown again.
pub(super) async fn add(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let request_id = request_id_of(&request).map(str::to_owned);
    let asked: NewWebhook = parse_body(&api, request).await?;
    check_filter(&api, &asked.filter)?;
    let added = api.webhooks()?.add(asked).await?;
    info!(webhook = %added.id, url = added.url, request_id, "added a webhook");
    let mut response = answer(&added);
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::from_str(&format!("/admin/webhooks/{}", added.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// `PATCH /admin/webhooks/{id}`: changes what the body names.
pub(super) async fn change(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let (id, request_id) = (id_of(&request), request_id_of(&request).map(str::to_owned));
    let change: WebhookChange = parse_body(&api, request).await?;
    if let Some(filter) = &change.filter {
        check_filter(&api, filter)?;
    }
    let changed = api.webhooks()?.change(&id, change).await?;
    info!(webhook = id, url = changed.url, state = changed.state, request_id, "changed a webhook");
    Ok(answer(&changed))
}

/// `DELETE /admin/webhooks/{id}`: removes a webhook, and what waits to be delivered.
pub(super) async fn remove(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let id = id_of(&request);
    let removed = api.webhooks()?.remove(&id).await?;
    info!(webhook = id, url = removed.url, request_id = request_id_of(&request), "removed a webhook");
    Ok(answer(&removed))
}

/// `GET /admin/webhooks/{id}/deliveries`: the latest ones, the newest first.
pub(super) async fn deliveries(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    Ok(answer(&WebhookDeliveries { deliveries: api.webhooks()?.deliveries(&id_of(&request))? }))
}

/// `POST /admin/webhooks/{id}/deliveries/{event}/repeat`: delivers an event once more, now.
pub(super) async fn repeat(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let (id, request_id) = (id_of(&request), request_id_of(&request).map(str::to_owned));
    let event = segments(request.uri()).nth(4).unwrap_or_default().to_owned();
    let RepeatRequest { position } = parse_body(&api, request).await?;
    let repeated = api.webhooks()?.repeat(&id, &event, position).await?;
    info!(webhook = id, event, status = repeated.status, error = repeated.error, request_id, "repeated a delivery");
    Ok(answer(&repeated))
}

fn id_of(request: &Request) -> String {
    segments(request.uri()).nth(2).unwrap_or_default().to_owned()
}

/// Refuses names that no stored event can have.
fn check_filter(api: &Api, WebhookFilter { types, events }: &WebhookFilter) -> Result<(), Problem> {
    for name in types {
        api.resource(name)?;
    }
    let resources =
        || api.resources.iter().filter(|(name, _)| types.is_empty() || types.iter().any(|one| one == *name));
    for event in events {
        if !resources().any(|(_, resource)| !resource.select(&[event.as_str()]).is_empty()) {
            let known = resources().flat_map(|(_, resource)| resource.events()).copied();
            let what = format!("no aggregate type of the filter has an event {event:?}");
            return Err(unknown(&problem::UNKNOWN_EVENT_TYPE, &what, event, known));
        }
    }
    Ok(())
}

impl Api {
    fn webhooks(&self) -> Result<&Webhooks, Problem> {
        let missing = || Problem::new(&problem::UNKNOWN_WEBHOOK, "this server has no webhooks");
        self.webhooks.as_ref().ok_or_else(missing)
    }
}

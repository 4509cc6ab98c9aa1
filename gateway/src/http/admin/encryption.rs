//! `/admin/encryption` and `/admin/subjects`: the keys of data at rest, and how a person is forgotten.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use dormouse_encryption::{DataKeys, Error, Subject};
use serde_json::json;
use tracing::info;

use super::request_id_of;
use crate::http::address::{Parameters, decoded, segments};
use crate::http::problem::{self, Problem};
use crate::http::{Api, json};

/// `GET /admin/encryption`: how many data keys there are, and which wrapping keys they need.
pub(super) async fn show(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let counts = data_keys(&api)?.counts().await.map_err(|error| unavailable(&error))?;
    Ok(json(&json!({
        "encryption": api.encryption,
        "keys": counts.all_live(),
        "destroyed": counts.destroyed,
        "wrapping_keys": counts.live,
    })))
}

/// `POST /admin/subjects/{subject}/forget`: destroys the data key of a person, and certifies it.
pub(super) async fn forget(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let text = segments(request.uri()).nth(2).unwrap_or_default();
    let invalid = |detail: String| Problem::new(&problem::INVALID_PATH, detail);
    let text = decoded(text).map_err(|what| invalid(format!("the subject {what}")))?;
    let subject = Subject::new(text).map_err(|error| invalid(error.to_string()))?;
    let certificate = data_keys(&api)?.forget(&subject).await.map_err(|error| unavailable(&error))?;
    let (hash, destroyed, request_id) = (certificate.subject_hash, certificate.destroyed, request_id_of(&request));
    info!(%hash, destroyed, request_id, "forgot a person");
    Ok(super::answer(&certificate))
}

fn data_keys(api: &Api) -> Result<&DataKeys, Problem> {
    api.engine
        .journal()
        .data_keys()
        .ok_or_else(|| Problem::new(&problem::NO_DATA_KEYS, "nothing is encrypted at rest: keys.file is not set"))
}

fn unavailable(error: &Error) -> Problem {
    Problem::new(&problem::DATA_KEYS_UNAVAILABLE, error.to_string())
}

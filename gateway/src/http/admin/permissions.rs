//! `/admin/permissions`: who may do what.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::answer;
use crate::admin::Permissions;
use crate::http::Api;
use crate::http::address::Parameters;
use crate::http::problem::Problem;

/// `GET /admin/permissions`
pub(super) async fn show(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let permissions = api.permissions.clone();
    Ok(answer(&Permissions { authenticated: api.access.is_on(), permissions }))
}

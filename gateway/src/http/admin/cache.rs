//! `/admin/cache`: the usage of the cache of views, and clearing it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tracing::info;

use super::{parse_body, request_id_of};
use crate::http::address::Parameters;
use crate::http::commands::unknown;
use crate::http::problem::{self, Problem};
use crate::http::{Api, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearRequest {
    /// The views to clear. If it is empty, all are cleared.
    #[serde(default)]
    views: Vec<String>,
}

/// `GET /admin/cache`: all views together; with `detailed` each view by itself as well.
pub(super) async fn stats(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let is_detailed = Parameters::of(request.uri(), &["detailed"])?.flag("detailed")?;
    let Some(stats) = api.projections.as_ref().map(|projections| projections.cache().stats()) else {
        return Err(no_views());
    };
    let mut shown = json!({ "options": stats.options, "total": stats.total });
    if is_detailed {
        shown["views"] = json!(stats.views);
    }
    Ok(json(&shown))
}

/// `POST /admin/cache/clear`: clears the cache of some views, or of all.
pub(super) async fn clear(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let request_id = request_id_of(&request).map(str::to_owned);
    let ClearRequest { views } = parse_body(&api, request).await?;
    let projections = api.projections.as_ref().ok_or_else(no_views)?;
    // All names are checked before anything is cleared.
    if let Some(view) = views.iter().find(|view| projections.reader(view).is_none()) {
        let known = projections.readers().map(|reader| reader.definition().name());
        return Err(unknown(&problem::UNKNOWN_VIEW, &format!("there is no view {view:?}"), view, known));
    }
    let cache = projections.cache();
    let cleared: u64 = match views.is_empty() {
        true => cache.clear(None).unwrap_or_default(),
        false => views.iter().filter_map(|view| cache.clear(Some(view))).sum(),
    };
    info!(?views, cleared, request_id, "cleared the cache of views");
    Ok(json(&json!({ "cleared": cleared })))
}

fn no_views() -> Problem {
    Problem::new(&problem::UNKNOWN_VIEW, "this application has no views, so it has no cache of views")
}

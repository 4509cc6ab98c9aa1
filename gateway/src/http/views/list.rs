//! `GET /v1/views/{view}`: documents that meet filters, in an order, page by page.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::Uri;
use axum::response::Response;
use dormouse_kernel::Position;
use dormouse_projections::Page;
use serde_json::Value;
use tokio::time::Instant;

use super::answer::weak_tag;
use super::cursor::{CURSOR, ListId};
use super::document::write;
use super::filters::query;
use super::freshness::refuse_stale;
use super::own::Owner;
use super::selection::Selection;
use crate::http::Api;
use crate::http::address::{Parameters, query_text, segments};
use crate::http::envelope::Arrival;
use crate::http::problem::Problem;

const PARAMETERS: [&str; 6] = ["filter[…]", "sort", "limit", CURSOR, "fields", "total"];

pub(in crate::http) async fn list(
    State(api): State<Arc<Api>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, Problem> {
    let (request, _) = request.into_parts();
    let uri = &request.uri;
    let view = api.views.find(segments(uri).nth(2).unwrap_or_default())?;
    let parameters = Parameters::of(uri, &PARAMETERS)?;
    let limit = api.page_limit(&parameters)?;
    let selection = Selection::of(view, &parameters)?;
    let list_id = ListId::of(view.definition(), &parameters);
    let mut query = query(view.definition(), &parameters, limit)?;
    if let Some(owner) = Owner::of(view.definition(), view.definition().query_all(), &arrival)? {
        query = owner.filter(query, view.definition())?;
    }
    if parameters.flag("total")? {
        query = query.counting();
    }
    if let Some(cursor) = parameters.get(CURSOR) {
        query = list_id.resume(query, cursor)?;
    }
    let wanted = api.wait_until_fresh(view, &request).await?;
    let share = api.pages.share_by(Instant::now() + api.command_timeout).await?;

    let started = Instant::now();
    let page = view.reader.list(&query.page_bytes(api.page_bytes)).await?;
    refuse_stale(page.at, wanted)?;
    api.views.record(&view.all, view.definition(), started, page.rows.len(), Some(address(uri)));
    let at = page.at;
    let next = page.next.as_ref().map(|place| next(uri, &list_id.cursor(place)));
    let (body, content) = body(page, &selection, next)?;
    // The tag does not cover the position, which changes with every event.
    let tag = weak_tag(&body[..content]);
    Ok(api.views.answer(&request.headers, body, tag, view.token(at), Some(share)))
}

/// The body, and the length of its part before the position of the view.
fn body(page: Page, selection: &Selection, next: Option<String>) -> Result<(Vec<u8>, usize), Problem> {
    let Page { rows, at: Position(at), total, .. } = page;
    let mut body = Vec::from(br#"{"items":["#);
    for (number, row) in rows.into_iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        write(&mut body, &row.key, row.position, &selection.of_document(row.document)?);
    }
    body.extend_from_slice(format!(r#"],"next":{}"#, Value::from(next)).as_bytes());
    if let Some(total) = total {
        body.extend_from_slice(format!(r#","total":{total}"#).as_bytes());
    }
    let content = body.len();
    body.extend_from_slice(format!(r#","position":{at}}}"#).as_bytes());
    Ok((body, content))
}

/// The address of the next page: the same query with another cursor.
fn next(uri: &Uri, cursor: &str) -> String {
    let is_cursor =
        |pair: &str| query_text(pair.split('=').next().unwrap_or_default()).is_ok_and(|name| name == CURSOR);
    let others = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !is_cursor(pair));
    let mut next = format!("{}?", uri.path());
    for pair in others {
        next.push_str(pair);
        next.push('&');
    }
    next + CURSOR + "=" + cursor
}

fn address(uri: &Uri) -> &str {
    uri.path_and_query().map_or_else(|| uri.path(), |whole| whole.as_str())
}

//! `/admin/audit`: the audit log.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use dormouse_audit::{Filter, ReadError, StoredEntry, entries};
use dormouse_kernel::Timestamp;
use tokio::task::spawn_blocking;

use super::answer;
use crate::admin::{AuditHead, AuditPage};
use crate::http::Api;
use crate::http::address::{Parameters, invalid, query_without};
use crate::http::problem::{self, Problem};

/// `GET /admin/audit`: the entries, the oldest first, page by page. The log of the command line verifies them.
pub(super) async fn entries_page(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let uri = request.uri().clone();
    let parameters = Parameters::of(&uri, &["since", "subject", "limit", "after"])?;
    let limit = api.page_limit(&parameters)?;
    let since = parameters.get("since").map(|text| text.parse::<Timestamp>());
    let since = since.transpose().map_err(|_| invalid("since", "is not a time, such as 2026-01-31T12:00:00Z"))?;
    let subject = parameters.get("subject").map(str::to_owned);
    let after = parameters.number("after")?.unwrap_or(0);
    let (directory, turn) = api.audit.reading().await.ok_or_else(no_log)?;
    // One entry more than the limit tells whether there is a next page.
    let read = move || entries(&directory, Filter { since, subject, after })?.take(limit + 1).collect();
    let read: Result<Vec<StoredEntry>, ReadError> = spawn_blocking(read).await.map_err(|error| unreadable(&error))?;
    drop(turn);
    let mut entries = read.map_err(|error| unreadable(&error))?;
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries
        .last()
        .filter(|_| has_more)
        .map(|last| format!("{}?after={}{}", uri.path(), last.sequence, query_without(&uri, "after")));
    Ok(answer(&AuditPage { entries, next }))
}

/// `GET /admin/audit/head`: the last durable entry.
pub(super) async fn head(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let head = api.audit.log().ok_or_else(no_log)?.head();
    Ok(answer(&AuditHead { head: head.to_string(), sequence: head.sequence }))
}

fn no_log() -> Problem {
    Problem::new(&problem::NO_AUDIT_LOG, "its operator sets audit.enabled")
}

fn unreadable(error: &impl ToString) -> Problem {
    Problem::new(&problem::INTERNAL, "the audit log cannot be read, the server's log says why")
        .because(error.to_string())
}

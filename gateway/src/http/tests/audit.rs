//! The audit of changes by operators, without a connection between.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Method;
use dormouse_audit::{Filter, Outcome, entries};

use super::support::{Server, request};

/// Waits until the log has an entry with this outcome.
async fn has(directory: &Path, outcome: Outcome) {
    let recorded = async {
        while !entries(directory, Filter::default()).unwrap().any(|stored| stored.unwrap().entry.outcome == outcome) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), recorded).await;
    let all: Vec<_> = entries(directory, Filter::default()).unwrap().collect();
    in_time.unwrap_or_else(|_| panic!("the entry is written: {all:?}"));
}

#[tokio::test]
async fn a_change_whose_client_goes_away_has_an_unknown_outcome() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("audit");
    let server = Server::with(|config| {
        config.audit.enabled = true;
        config.audit.directory.clone_from(&directory);
        config.audit.key = place.path().join("audit.key");
    })
    .await;
    // The handler waits for a body that never arrives.
    let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
    let headers = [("content-type", "application/json")];
    let change = server.begin(request(Method::POST, "/admin/cache/clear", &headers, body));
    has(&directory, Outcome::Intended).await;
    change.abort();
    has(&directory, Outcome::Unknown).await;
}

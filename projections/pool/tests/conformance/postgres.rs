//! What only PostgreSQL has: its indexes, operators and other nodes that use the same database, and connections that
//! fail.

use std::sync::Arc;

use dormouse_harness::Postgres as Server;
use dormouse_projections::ViewStore;
use dormouse_projections::store::{Error, Postgres};

use crate::support::{limits, postgres_url};

#[path = "postgres/connections.rs"]
mod connections;
#[path = "postgres/documents.rs"]
mod documents;
#[path = "postgres/schemas.rs"]
mod schemas;
#[path = "postgres/swaps.rs"]
mod swaps;

async fn try_open(url: &str) -> Result<Arc<dyn ViewStore>, Error> {
    let opened = Postgres::open(&postgres_url(url), &[], Postgres::SCHEMA, 4, &limits()).await;
    opened.map(|store| Arc::new(store) as _)
}

async fn open(url: &str) -> Arc<dyn ViewStore> {
    try_open(url).await.unwrap()
}

/// Runs SQL as an operator, in the schema of the views.
fn query(url: &str, sql: &str) -> String {
    Server::shared().query(url, &format!("SET search_path = dormouse_views; {sql}"))
}

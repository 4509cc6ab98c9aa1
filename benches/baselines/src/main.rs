//! `dormouse-baselines <database url>`: the inventory of Dormouse on cqrs-es and postgres-es behind axum, built like
//! their own example: one table of events, the optimistic lock of its primary key, and the framework's pool.

mod stock;

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use cqrs_es::AggregateError;
use dormouse_aggregates::commerce::{InventoryCommand, InventoryRejection, Text};
use postgres_es::{PostgresCqrs, postgres_cqrs};
use serde::Deserialize;
use sqlx::postgres::PgPoolOptions;

use stock::Stock;

/// The allocator of Dormouse.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// From postgres-es's `db/init.sql`.
const EVENTS: &str = "CREATE TABLE IF NOT EXISTS events (
    aggregate_type text                         NOT NULL,
    aggregate_id   text                         NOT NULL,
    sequence       bigint CHECK (sequence >= 0) NOT NULL,
    event_type     text                         NOT NULL,
    event_version  text                         NOT NULL,
    payload        json                         NOT NULL,
    metadata       json                         NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
)";

/// Its `default_postgress_pool` has 10 connections. On 2 cores, more connections group more commits, up to about this
/// number.
const CONNECTIONS: u32 = 32;

/// A conflict is the commit of another request, so each time one of them succeeds. More conflicts than this are an
/// error.
const ATTEMPTS: usize = 100;

#[derive(Deserialize)]
struct UpdateInventory {
    change: i64,
    reason: Text,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("usage: dormouse-baselines <database url> [connections]")?;
    let connections = std::env::args().nth(2).map_or(Ok(CONNECTIONS), |connections| connections.parse())?;
    let pool = PgPoolOptions::new().max_connections(connections).connect(&url).await?;
    sqlx::query(EVENTS).execute(&pool).await?;
    let stocks: Arc<PostgresCqrs<Stock>> = Arc::new(postgres_cqrs(pool, Vec::new(), ()));
    let router = Router::new().route("/v1/inventory/{id}/update-inventory", post(update)).with_state(stocks);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    axum::serve(listener, router).await?;
    Ok(())
}

async fn update(
    State(stocks): State<Arc<PostgresCqrs<Stock>>>,
    Path(id): Path<String>,
    Json(body): Json<UpdateInventory>,
) -> Response {
    for _ in 0..ATTEMPTS {
        let command = InventoryCommand::UpdateInventory { change: body.change, reason: body.reason.clone() };
        match stocks.execute(&id, stock::Command { id: id.clone(), command }).await {
            Ok(()) => return StatusCode::NO_CONTENT.into_response(),
            // Its documentation leaves the retry to the caller. Dormouse's callers never see a conflict here.
            Err(AggregateError::AggregateConflict) => {}
            Err(AggregateError::UserError(error)) => return refused(&error),
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

fn refused(rejection: &InventoryRejection) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, rejection.to_string()).into_response()
}

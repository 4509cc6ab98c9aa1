//! What writing documents costs, and nothing else: sqlx on its own, with the statement and the settings that suit it best.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

/// As many events make one transaction as in a batch of ours.
const BATCH: usize = 8_192;

/// Events per second: of each batch, as many documents are written as it has different ones, in one statement, with an
/// index on what ours has indexes on.
pub(super) async fn sqlite(events: usize, documents: usize) -> Result<f64> {
    let directory = super::directory()?;
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("bare.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal);
    let mut connection = options.disable_statement_logging().connect().await?;
    create(&mut connection).await?;
    let started = Instant::now();
    for batch in 0..events.div_ceil(BATCH) {
        let rows: Vec<_> = (0..documents.min(BATCH)).map(|number| document(number, batch)).collect();
        sqlx::query(
            "INSERT INTO documents (key, document) SELECT value ->> 0, value -> 1 FROM json_each(?) WHERE true
             ON CONFLICT (key) DO UPDATE SET document = excluded.document",
        )
        .bind(serde_json::to_string(&rows)?)
        .execute(&mut connection)
        .await?;
    }
    let rate = events as f64 / started.elapsed().as_secs_f64();
    connection.close().await?;
    Ok(rate)
}

async fn create(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::raw_sql("CREATE TABLE documents (key TEXT NOT NULL PRIMARY KEY, document TEXT NOT NULL) STRICT")
        .execute(&mut *connection)
        .await?;
    for field in ["sku", "on_hand", "available", "low_stock", "updated_at"] {
        let index = format!("CREATE INDEX documents_{field} ON documents (document ->> '$.{field}', key)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(index)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// What the view of the stock has for a sku.
fn document(number: usize, on_hand: usize) -> serde_json::Value {
    let sku = format!("sku-{number}");
    let updated_at = format!("2026-11-21T12:00:00.{on_hand:06}Z");
    json!([sku, {
        "sku": sku, "on_hand": on_hand, "reserved": 0, "available": on_hand, "reservations": 0,
        "low_stock": on_hand < 10, "updated_at": updated_at,
    }])
}

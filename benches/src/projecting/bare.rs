//! The cost of writing documents and nothing else: sqlx alone, with the best statement and settings.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

/// The same number of events per transaction as in our batches.
const BATCH: usize = 8_192;

/// The fields with an index, as in our views.
const FIELDS: [&str; 5] = ["sku", "on_hand", "available", "low_stock", "updated_at"];

/// Events per second. For each batch, one statement writes the documents that it changes. The same fields are indexed
/// as in our views.
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

/// The same in PostgreSQL.
pub(super) async fn postgres(url: &str, events: usize, documents: usize) -> Result<f64> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.options([("synchronous_commit", "off")]).disable_statement_logging();
    let mut connection = options.connect().await?;
    sqlx::raw_sql("CREATE TABLE documents (key text COLLATE \"C\" PRIMARY KEY, document json NOT NULL)")
        .execute(&mut connection)
        .await?;
    for field in FIELDS {
        let index = format!("CREATE INDEX documents_{field} ON documents ((document ->> '{field}'), key)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(index)).execute(&mut connection).await?;
    }
    let started = Instant::now();
    for batch in 0..events.div_ceil(BATCH) {
        let rows = (0..documents.min(BATCH)).map(|number| document(number, batch));
        let (keys, rows): (Vec<String>, Vec<String>) =
            rows.map(|row| (row[0].as_str().unwrap_or_default().to_owned(), row[1].to_string())).unzip();
        sqlx::query(
            "INSERT INTO documents (key, document) SELECT * FROM unnest($1::text[], $2::json[])
             ON CONFLICT (key) DO UPDATE SET document = excluded.document",
        )
        .bind(keys)
        .bind(rows)
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
    for field in FIELDS {
        let index = format!("CREATE INDEX documents_{field} ON documents (document ->> '$.{field}', key)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(index)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The document of a sku in the view of the inventory.
fn document(number: usize, on_hand: usize) -> serde_json::Value {
    let sku = format!("sku-{number}");
    let updated_at = format!("2026-11-21T12:00:00.{on_hand:06}Z");
    json!([sku, {
        "sku": sku, "on_hand": on_hand, "reserved": 0, "available": on_hand, "reservations": 0,
        "low_stock": on_hand < 10, "updated_at": updated_at,
    }])
}

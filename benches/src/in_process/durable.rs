//! Durable commands in process into SQLite, without views: the cost of the disk writes, beside sqlx that writes the
//! same rows, with the same number per transaction.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dormouse_aggregates::commerce::Inventory;
use dormouse_config::Config;
use dormouse_engine::Engine;
use dormouse_journal::store::{Access, Retention, Sqlite};
use dormouse_journal::{Journal, Options};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};

use super::{command, id, ids, rate};
use crate::figure::{Baseline, Figure, Target, Unit};
use crate::{Arguments, Measurement};

/// DESIGN §8.
const TARGET: Target = Target { floor: 0.4, aim: 0.6 };

/// The same numbers as the connections and aggregates of the benchmarks over HTTP.
const CALLERS: usize = 256;
const AGGREGATES: usize = 5_000;

/// The rows that the baseline writes: enough for a second or more.
const ROWS: usize = 200_000;

/// Columns of the journal's table of events.
const COLUMNS: usize = 12;

const DRAIN_BOUND: Duration = Duration::from_secs(30);

pub(crate) fn measure(arguments: &Arguments) -> Result<Figure> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let window = Duration::from_secs(arguments.seconds);
        let (mut best, mut best_bare) = (0.0_f64, 0.0_f64);
        for round in 1..=arguments.rounds {
            eprintln!("durable: round {round} of {}", arguments.rounds);
            let directory = tempfile::Builder::new().prefix("dormouse-bench-").tempdir()?;
            let (measured, batch) = commands(directory.path(), window).await?;
            best = best.max(measured);
            best_bare = best_bare.max(bare(directory.path(), batch).await?);
        }
        Ok(Figure {
            name: Measurement::Durable.name(),
            what: format!("durable commands in process, SQLite, no views, {CALLERS} callers, {AGGREGATES} aggregates"),
            measured: best,
            unit: Unit::PerSecond,
            baseline: Some(Baseline { what: "sqlx, the same rows, as many to a transaction", measured: best_bare }),
            target: Some(TARGET),
            p99_milliseconds: None,
        })
    })
}

/// Commands per second, with one event each; and the number of commands per commit.
async fn commands(directory: &Path, window: Duration) -> Result<(f64, usize)> {
    let config = Config::embedded();
    let store =
        Sqlite::open(directory, &config.journal, Retention::from_config(&config.snapshots), Access::Own).await?;
    let journal = Journal::start(Arc::new(store), Options::default()).await?;
    let engine = Engine::builder(config).aggregate::<Inventory>().start(journal.clone()).await?;
    let stocks = engine.aggregates::<Inventory>().context("inventory is not registered")?;
    let ids = Arc::new(ids(AGGREGATES)?);
    let commits = Arc::new(AtomicU64::new(0));
    let counting = count_commits(&journal, Arc::clone(&commits));
    let measured = rate(CALLERS, window, move |caller, call| command(stocks.clone(), id(&ids, caller, call))).await?;
    let commands = journal.ping().await?.0;
    counting.abort();
    ensure!(engine.drain(DRAIN_BOUND).await.complete, "the journal was not closed in good order");
    let batch = commands / commits.load(Ordering::Relaxed).max(1);
    Ok((measured, usize::try_from(batch)?.max(1)))
}

/// Two commits that follow each other before this task wakes count as one. That only makes the baseline's transactions
/// larger.
fn count_commits(journal: &Journal, commits: Arc<AtomicU64>) -> tokio::task::JoinHandle<()> {
    let mut head = journal.head();
    tokio::spawn(async move {
        while head.changed().await.is_ok() {
            commits.fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// Rows per second for the rows that the journal wrote, into a table like the journal's, without anything else.
async fn bare(directory: &Path, batch: usize) -> Result<f64> {
    let mut journal = SqliteConnectOptions::new().filename(directory.join("journal.db")).connect().await?;
    let (table,): (String,) =
        sqlx::query_as("SELECT sql FROM sqlite_schema WHERE name = 'events'").fetch_one(&mut journal).await?;
    let rows = sqlx::query("SELECT * FROM events ORDER BY position LIMIT ?").bind(i64::try_from(ROWS)?);
    let rows = rows.fetch_all(&mut journal).await?;
    ensure!(rows.first().is_some_and(|row| row.len() == COLUMNS), "the journal's table has not {COLUMNS} columns");
    journal.close().await?;

    let options = SqliteConnectOptions::new()
        .filename(directory.join("bare.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = options.disable_statement_logging().connect().await?;
    sqlx::raw_sql(AssertSqlSafe(table)).execute(&mut connection).await?;
    let started = Instant::now();
    for batch in rows.chunks(batch) {
        insert(&mut connection, batch).await?;
    }
    let rate = rows.len() as f64 / started.elapsed().as_secs_f64();
    connection.close().await?;
    Ok(rate)
}

/// One statement, which is one transaction.
async fn insert(connection: &mut SqliteConnection, rows: &[SqliteRow]) -> Result<()> {
    let places = vec!["(?,?,?,?,?,?,?,?,?,?,?,?)"; rows.len()].join(",");
    let mut statement = sqlx::query(AssertSqlSafe(format!("INSERT INTO events VALUES {places}")));
    for row in rows {
        statement = statement
            .bind(row.try_get::<i64, _>(0)?)
            .bind(row.try_get::<i64, _>(1)?)
            .bind(row.try_get::<&str, _>(2)?)
            .bind(row.try_get::<&str, _>(3)?)
            .bind(row.try_get::<i64, _>(4)?)
            .bind(row.try_get::<&str, _>(5)?)
            .bind(row.try_get::<i64, _>(6)?)
            .bind(row.try_get::<&[u8], _>(7)?)
            .bind(row.try_get::<&[u8], _>(8)?)
            .bind(row.try_get::<i64, _>(9)?)
            .bind(row.try_get::<Option<&str>, _>(10)?)
            .bind(row.try_get::<&[u8], _>(11)?);
    }
    statement.execute(connection).await?;
    Ok(())
}

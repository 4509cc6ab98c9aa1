//! The speed of reading views over HTTP: by key, beside an axum server that echoes JSON; and as lists of a million
//! documents, beside a handwritten SQL query for the same page.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dormouse_config::Config;
use dormouse_harness::{Client, Server};
use dormouse_journal::store::{Access, Retention, Sqlite as SqliteJournal};
use dormouse_journal::{Journal, Submission};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use crate::figure::{Baseline, Figure, Target, Unit};
use crate::http::{AGGREGATES, alternate, figure, started};
use crate::projecting::events;
use crate::wrk::{Aggregates, Wrk};
use crate::{Arguments, Measurement, child};

/// DESIGN §8, for documents in the cache.
const BESIDE_ECHO: Target = Target { floor: 0.8, aim: 0.9 };

const DOCUMENTS: usize = 1_000_000;
const PAGE: usize = 100;
const LATE_PAGE: usize = 1_000;

/// The number of requests for a page; the median counts.
const QUESTIONS: usize = 51;

const PATIENCE: Duration = Duration::from_secs(300);

/// By key, with the cache and without it.
pub(crate) fn by_key(arguments: &Arguments) -> Result<Vec<Figure>> {
    let echo = child::Server::announcing_itself(Command::new(std::env::current_exe()?).arg("--echo"))?;
    let commands = Wrk {
        connections: arguments.connections,
        aggregates: Aggregates::Random(AGGREGATES),
        keys: false,
        tokens: None,
    };
    commands.run(&echo.url(), 1)?;
    let mut figures = Vec::new();
    for (cache, target) in [("from the cache", Some(BESIDE_ECHO)), ("without a cache", None)] {
        // The cache has space for every document.
        let cached = target.is_some();
        let settings =
            Server::builder().set(format!("cache.enabled={cached}")).set(format!("cache.entries={}", 2 * AGGREGATES));
        let server = started(settings);
        // Every document exists, and every one was requested. wrk asks its script for one request that it never sends:
        // 0.
        Wrk { aggregates: Aggregates::EachFrom(0), ..commands }.run(&server.url(), 2)?;
        caught_up(&server.client())?;
        commands.read(&server.url(), 2)?;
        let title = format!("reads by key, {cache}");
        let measure = || commands.read(&server.url(), arguments.seconds);
        let (load, baseline) =
            alternate(&title, arguments.rounds, measure, || commands.run(&echo.url(), arguments.seconds))?;
        let what = format!("documents by key over HTTP, {cache}, {} connections", arguments.connections);
        figures.push(Figure { target, ..figure(Measurement::Reading, what, load, Some(("axum echo", baseline))) });
    }
    Ok(figures)
}

/// Pages of a list without the cache, from the store.
pub(crate) fn lists() -> Result<Vec<Figure>> {
    let directory = tempfile::Builder::new().prefix("dormouse-bench-").tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    eprintln!("lists: writing {DOCUMENTS} events");
    runtime.block_on(populate(directory.path()))?;
    let journal = format!("journal.url=\"sqlite://{}\"", directory.path().display());
    let server = started(Server::builder().set(journal).set("cache.enabled=false"));
    let client = server.client();
    eprintln!("lists: building the view");
    caught_up(&client)?;
    let first = format!("/v1/views/inventory?sort=-sku&limit={PAGE}");
    let mut late = first.clone();
    for _ in 1..LATE_PAGE {
        late = asked(&client, &late)?["next"].as_str().context("the list ends too soon")?.to_owned();
    }
    let file = directory.path().join("views.db");
    let mut figures = Vec::new();
    for (page, address) in [(1, first), (LATE_PAGE, late)] {
        let measured = middle(|| asked(&client, &address).map(|_| ()))?;
        let by_hand = runtime.block_on(by_hand(&file, page))?;
        figures.push(Figure {
            name: Measurement::Lists.name(),
            what: format!("page {page} of {DOCUMENTS} documents over HTTP, sorted by a field, {PAGE} to a page"),
            measured,
            unit: Unit::Milliseconds,
            baseline: Some(Baseline { what: "SQL with LIMIT and OFFSET, by hand", measured: by_hand }),
            target: None,
            p99_milliseconds: None,
        });
    }
    Ok(figures)
}

async fn populate(directory: &std::path::Path) -> Result<()> {
    let config = Config::embedded();
    let retention = Retention::from_config(&config.snapshots);
    let store = SqliteJournal::open(directory, &config.journal, retention, Access::Own).await?;
    let journal = Journal::start(Arc::new(store), dormouse_journal::Options::default()).await?;
    for append in events::appends(false, DOCUMENTS, DOCUMENTS)? {
        // If one is not written, the wait below fails.
        journal.submit(Submission::append(append, None, |_| ())).await;
    }
    journal.flush().await;
    journal.close().await;
    Ok(())
}

/// Waits until the view has processed everything.
fn caught_up(client: &Client) -> Result<()> {
    let started = Instant::now();
    loop {
        let health = asked(client, "/health/projections")?;
        let views = health["projections"].as_array().context("no projections")?;
        if !views.is_empty() && views.iter().all(|view| view["lag"] == 0) {
            return Ok(());
        }
        ensure!(started.elapsed() < PATIENCE, "the views do not catch up");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn asked(client: &Client, address: &str) -> Result<serde_json::Value> {
    let answer = client.get(address).map_err(|error| anyhow::anyhow!("{address}: {error}"))?;
    ensure!(answer.status == 200, "{address}: {answer}");
    Ok(answer.json())
}

/// The same page, from the file.
async fn by_hand(file: &std::path::Path, page: usize) -> Result<f64> {
    let mut connection = SqliteConnectOptions::new().filename(file).read_only(true).connect().await?;
    let mut times = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        let started = Instant::now();
        let rows = page_by_hand(&mut connection, (page - 1) * PAGE).await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        ensure!(rows == PAGE, "{rows} rows on page {page}");
    }
    times.sort_by(f64::total_cmp);
    Ok(times[QUESTIONS / 2])
}

async fn page_by_hand(connection: &mut SqliteConnection, offset: usize) -> Result<usize> {
    let sql = "SELECT key, document, position FROM view_inventory ORDER BY sku DESC, key DESC LIMIT ? OFFSET ?";
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as(sql).bind(PAGE as i64).bind(offset as i64).fetch_all(connection).await?;
    Ok(rows.len())
}

/// The median, in milliseconds.
fn middle(ask: impl Fn() -> Result<()>) -> Result<f64> {
    let mut times = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        let started = Instant::now();
        ask()?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[QUESTIONS / 2])
}

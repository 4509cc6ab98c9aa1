//! The speed of projections: live, while events are written, and from the start of the log, as in a rebuild. The
//! baseline is sqlx alone, which writes documents of the same size and number.

mod bare;
pub(crate) mod events;
mod lag;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use dormouse_config::{Config, JournalUrl};
use dormouse_harness::Postgres as PostgresServer;
use dormouse_journal::store::{Access, Memory, Retention, Sqlite as SqliteJournal};
use dormouse_journal::{Append, Journal, Submission};
use dormouse_kernel::Position;
use dormouse_projections::store::{Postgres, Sqlite};
use dormouse_projections::{Options, Projections, ViewStore};
use dormouse_views::commerce::{CustomerTotals, DailySales, InventoryLevels, Orders};
use tempfile::TempDir;

use crate::figure::{Baseline, Figure, Target, Unit};
use crate::{Arguments, Measurement};
pub(crate) use lag::lag;

/// DESIGN §8, of one view in SQLite.
const LIVE: Target = Target { floor: 120_000.0, aim: 200_000.0 };
const REBUILD: Target = Target { floor: 150_000.0, aim: 300_000.0 };

/// Enough that a pass takes a second or more.
const EVENTS: usize = 400_000;

/// The aggregates of the events, which is also the number of documents of each view.
const AGGREGATES: usize = 5_000;

const PATIENCE: Duration = Duration::from_secs(600);

/// The views, which also decide the events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Views {
    /// The stock levels; all events are about the inventory.
    One,
    /// All of commerce. Half of the events are about orders, and most of those concern three of the views.
    Four,
}

/// The store of the views.
#[derive(Clone, Copy)]
enum Place<'p> {
    Sqlite,
    Postgres(&'p PostgresServer),
}

/// Views that are still empty.
struct Store {
    views: Arc<dyn ViewStore>,
    /// The directory of the views, in SQLite; it is removed with them.
    _directory: TempDir,
}

impl Place<'_> {
    async fn store(self) -> Result<Store> {
        let directory = directory()?;
        let views: Arc<dyn ViewStore> = match self {
            Self::Sqlite => Arc::new(Sqlite::open(directory.path(), 2).await?),
            Self::Postgres(server) => {
                let JournalUrl::Postgres(url) = server.create_database().parse()? else {
                    bail!("no URL of PostgreSQL")
                };
                Arc::new(Postgres::open(&url, &[], Postgres::SCHEMA, 2, &Config::embedded().journal.postgres).await?)
            }
        };
        Ok(Store { views, _directory: directory })
    }

    async fn bare(self) -> Result<f64> {
        match self {
            Self::Sqlite => bare::sqlite(EVENTS, AGGREGATES).await,
            Self::Postgres(server) => bare::postgres(&server.create_database(), EVENTS, AGGREGATES).await,
        }
    }
}

/// Events per second, the best of all rounds.
#[derive(Default)]
struct Best {
    live: f64,
    rebuild: f64,
    bare: f64,
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Vec<Figure>> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let postgres = PostgresServer::start();
        let mut figures = Vec::new();
        for views in [Views::One, Views::Four] {
            let appends = events::appends(views == Views::Four, EVENTS, AGGREGATES)?;
            let directory = directory()?;
            let journal = journal_in_sqlite(&directory).await?;
            write(&journal, appends.clone()).await;
            let (mut sqlite, mut on_postgres) = (Best::default(), Best::default());
            for round in 1..=arguments.rounds {
                eprintln!("projecting into {}: round {round} of {}", views.name(), arguments.rounds);
                for (best, place) in [(&mut sqlite, Place::Sqlite), (&mut on_postgres, Place::Postgres(&postgres))] {
                    best.bare = best.bare.max(place.bare().await?);
                    best.live = best.live.max(live(views, place.store().await?, appends.clone()).await?);
                    best.rebuild = best.rebuild.max(rebuild(views, place.store().await?, &journal).await?);
                }
            }
            journal.close().await;
            figures.extend(sqlite.figures("SQLite", views));
            figures.extend(on_postgres.figures("PostgreSQL", views));
        }
        Ok(figures)
    })
}

/// Events per second while they are written to a journal in memory: the rate that a view can follow.
async fn live(views: Views, store: Store, appends: Vec<Append>) -> Result<f64> {
    let retention = Retention::from_config(&Config::embedded().snapshots);
    let journal = Journal::start(Arc::new(Memory::new(retention)), dormouse_journal::Options::default()).await?;
    let projections = start(views, &journal, &store).await?;
    let started = Instant::now();
    write(&journal, appends).await;
    let rate = follow(&projections, started).await?;
    journal.close().await;
    store.views.close().await;
    Ok(rate)
}

/// Events per second, from the log of a journal in SQLite.
async fn rebuild(views: Views, store: Store, journal: &Journal) -> Result<f64> {
    let started = Instant::now();
    let projections = start(views, journal, &store).await?;
    let rate = follow(&projections, started).await?;
    store.views.close().await;
    Ok(rate)
}

async fn start(views: Views, journal: &Journal, store: &Store) -> Result<Projections> {
    let builder = Projections::builder(journal.clone(), Arc::clone(&store.views), Options::default());
    let builder = builder.projection::<InventoryLevels>();
    let builder = match views {
        Views::One => builder,
        Views::Four => builder.projection::<Orders>().projection::<CustomerTotals>().projection::<DailySales>(),
    };
    Ok(builder.start().await?)
}

/// Waits until all views have processed everything. Returns the events per second since the start.
async fn follow(projections: &Projections, started: Instant) -> Result<f64> {
    for reader in projections.readers() {
        reader.wait_for(Position(EVENTS as u64), PATIENCE).await?;
    }
    let rate = EVENTS as f64 / started.elapsed().as_secs_f64();
    projections.stop().await;
    Ok(rate)
}

async fn write(journal: &Journal, appends: Vec<Append>) {
    for append in appends {
        // If one is not written, the wait for the views fails.
        journal.submit(Submission::append(append, None, |_| ())).await;
    }
    journal.flush().await;
}

async fn journal_in_sqlite(directory: &TempDir) -> Result<Journal> {
    let config = Config::embedded();
    let retention = Retention::from_config(&config.snapshots);
    let store = SqliteJournal::open(directory.path(), &config.journal, retention, Access::Own).await?;
    Ok(Journal::start(Arc::new(store), dormouse_journal::Options::default()).await?)
}

fn directory() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("dormouse-bench-").tempdir()?)
}

impl Views {
    const fn name(self) -> &'static str {
        match self {
            Self::One => "one view",
            Self::Four => "four views",
        }
    }
}

impl Best {
    /// The baseline's result, and the design's target, which is not a ratio.
    fn figures(self, store: &str, views: Views) -> Vec<Figure> {
        let figure = |how: &str, rate_per_second: f64| Figure {
            name: Measurement::Projecting.name(),
            what: format!("events into {} in {store}, {AGGREGATES} aggregates, {how}", views.name()),
            measured: rate_per_second,
            unit: Unit::PerSecond,
            baseline: None,
            target: None,
            p99_milliseconds: None,
        };
        let mut figures = Vec::new();
        for (how, rate_per_second, target) in [("live", self.live, LIVE), ("from the start", self.rebuild, REBUILD)] {
            if store == "SQLite" && views == Views::One {
                figures.push(Figure { target: Some(target), ..figure(how, rate_per_second) });
            }
            let baseline = Some(Baseline { what: "sqlx, documents alone", measured: self.bare });
            figures.push(Figure { baseline, ..figure(how, rate_per_second) });
        }
        figures
    }
}

//! The speed of loading aggregates with ten events each: from the SQLite journal, or from their bytes in memory if they
//! are dormant. Only the load is timed: one read of each aggregate, through the engine's public handle.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dormouse_aggregates::commerce::{Inventory, InventoryCommand, Text};
use dormouse_config::{Config, SnapshotStrategy};
use dormouse_engine::{Aggregates, CommandOptions, Engine};
use dormouse_kernel::{AggregateId, Version};

use crate::figure::{Figure, Target, Unit};
use crate::{Arguments, Measurement};

/// DESIGN §8.
const ASLEEP: Target = Target { floor: 30_000.0, aim: 60_000.0 };
const DORMANT: Target = Target { floor: 200_000.0, aim: 400_000.0 };

/// Enough that one pass takes a good part of a second.
const AGGREGATES: usize = 20_000;
const EVENTS: usize = 10;

/// The callers: as many as the HTTP benchmarks have connections.
const CALLERS: usize = 256;

/// The engine keeps no live aggregates, so each sweep unloads all of them, and a pass over dormant aggregates must end
/// before the next sweep. A pass with a sweep in it fails.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);

const SLEEP_BOUND: Duration = Duration::from_secs(60);

pub(crate) fn measure(arguments: &Arguments) -> Result<Vec<Figure>> {
    let directory = tempfile::Builder::new().prefix("dormouse-bench-").tempdir()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        eprintln!("waking: writing {EVENTS} events of each of {AGGREGATES} aggregates");
        populate(directory.path()).await?;
        let (mut asleep, mut dormant) = (0.0_f64, 0.0_f64);
        for round in 1..=arguments.rounds {
            eprintln!("waking: round {round} of {}", arguments.rounds);
            let (from_journal, from_memory) = wake(directory.path()).await?;
            asleep = asleep.max(from_journal);
            dormant = dormant.max(from_memory);
        }
        Ok(vec![figure("asleep, from SQLite", asleep, ASLEEP), figure("dormant", dormant, DORMANT)])
    })
}

fn figure(from: &str, rate_per_second: f64, target: Target) -> Figure {
    Figure {
        name: Measurement::Waking.name(),
        what: format!("wake-ups in process, {EVENTS} events each, {from}, {CALLERS} callers"),
        measured: rate_per_second,
        unit: Unit::PerSecond,
        baseline: None,
        target: Some(target),
        p99_milliseconds: None,
    }
}

async fn populate(directory: &Path) -> Result<()> {
    let (engine, stocks) = engine(directory).await?;
    let written = for_each(&stocks, |stocks, id| async move {
        for _ in 0..EVENTS {
            let command = InventoryCommand::UpdateInventory { change: 1, reason: Text::new("benchmark")? };
            stocks.execute(id.clone(), command, CommandOptions::default()).await?;
        }
        anyhow::Ok(())
    });
    written.await?;
    ensure!(engine.drain(SLEEP_BOUND).await.complete, "the journal was not closed in good order");
    Ok(())
}

/// Loads per second from the journal, and from memory.
async fn wake(directory: &Path) -> Result<(f64, f64)> {
    let (engine, stocks) = engine(directory).await?;
    ensure!(live(&engine) == 0 && engine.dormant().0 == 0, "a new engine has aggregates in memory");
    let asleep = pass(&stocks).await?;
    all_are_dormant(&engine).await?;
    let dormant = pass(&stocks).await?;
    ensure!(live(&engine) == AGGREGATES, "a pass over dormant aggregates took so long that a sweep began");
    ensure!(engine.drain(SLEEP_BOUND).await.complete, "the journal was not closed in good order");
    Ok((asleep, dormant))
}

/// Reads every aggregate once.
async fn pass(stocks: &Aggregates<Inventory>) -> Result<f64> {
    let started = Instant::now();
    let read = for_each(stocks, |stocks, id| async move {
        let stated = stocks.state(&id).await?;
        ensure!(stated.version == Version(EVENTS as u64), "{id} is at version {}", stated.version);
        Ok(())
    });
    read.await?;
    Ok(AGGREGATES as f64 / started.elapsed().as_secs_f64())
}

async fn all_are_dormant(engine: &Engine) -> Result<()> {
    let started = Instant::now();
    while live(engine) > 0 || engine.dormant().0 < AGGREGATES {
        ensure!(started.elapsed() < SLEEP_BOUND, "the aggregates are not unloaded");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn live(engine: &Engine) -> usize {
    engine.residency().iter().map(|kind| kind.live).sum()
}

/// Calls for each aggregate once, from this many callers.
async fn for_each<C, F>(stocks: &Aggregates<Inventory>, call: C) -> Result<()>
where
    C: Fn(Aggregates<Inventory>, AggregateId) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let ids: Result<Vec<_>, _> = (0..AGGREGATES).map(|number| AggregateId::new(format!("sku-{number}"))).collect();
    let (ids, next) = (Arc::new(ids?), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (ids, next, stocks, call) = (Arc::clone(&ids), Arc::clone(&next), stocks.clone(), call.clone());
            tokio::spawn(async move {
                while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
                    call(stocks.clone(), id.clone()).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(())
}

async fn engine(directory: &Path) -> Result<(Engine, Aggregates<Inventory>)> {
    let mut config = Config::embedded();
    config.journal.url = format!("sqlite://{}", directory.display()).parse()?;
    // Loads must read events, not a snapshot.
    config.snapshots.strategy = SnapshotStrategy::Never;
    config.passivation.idle_after = Duration::ZERO;
    config.passivation.sweep_interval = SWEEP_INTERVAL;
    let journal = dormouse_journal::open(&config, None).await?;
    let engine = Engine::builder(config).aggregate::<Inventory>().start(journal).await?;
    let stocks = engine.aggregates::<Inventory>().context("inventory is not registered")?;
    Ok((engine, stocks))
}

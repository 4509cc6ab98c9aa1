//! The time from an event's commit until it is in the views, while commands run at half of the machine's capacity.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dormouse_aggregates::commerce::{Inventory, InventoryCommand, Order, Text};
use dormouse_config::Config;
use dormouse_engine::{Aggregates, CommandOptions, Engine};
use dormouse_harness::quantile;
use dormouse_journal::Journal;
use dormouse_kernel::{AggregateId, Position};
use dormouse_projections::Reader;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::{AGGREGATES, Place, Views, directory, journal_in_sqlite, start};
use crate::figure::{Figure, Target, Unit};
use crate::{Arguments, Measurement};

/// DESIGN §8, in milliseconds.
const LAG: Target = Target { floor: 50.0, aim: 20.0 };
const WAIT: Target = Target { floor: 25.0, aim: 10.0 };

const CALLERS: usize = 64;

/// The interval at which callers with a rate wake.
const TICK: Duration = Duration::from_millis(5);

const DRAIN_BOUND: Duration = Duration::from_secs(30);

/// Measures four views in SQLite beside a journal in SQLite, all in one process.
pub(crate) fn lag(arguments: &Arguments) -> Result<Vec<Figure>> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let journal_directory = directory()?;
        let journal = journal_in_sqlite(&journal_directory).await?;
        let engine = Engine::builder(Config::embedded()).aggregate::<Inventory>().aggregate::<Order>();
        let engine = engine.start(journal.clone()).await?;
        let stocks = engine.aggregates::<Inventory>().context("inventory is not registered")?;
        let store = Place::Sqlite.store().await?;
        let projections = start(Views::Four, &journal, &store).await?;
        let reader = projections.reader("inventory").context("the view of the inventory is missing")?.clone();

        let window = Duration::from_secs(arguments.seconds);
        eprintln!("lag: how much this machine can do");
        let capacity = run(&stocks, None, window).await?;
        reader.wait_for(journal.ping().await?, DRAIN_BOUND).await?;
        eprintln!("lag: at half of {capacity:.0} commands a second");
        let (done, watched) = watch(&journal, &reader);
        let rate = run(&stocks, Some(capacity / 2.0), window).await?;
        done.store(true, Ordering::Relaxed);
        let lags = watched.await?;
        ensure!(!lags.is_empty(), "nothing was committed");

        eprintln!("lag: at half of it, beside a reader that waits for its commands");
        let (done, waited) = wait(stocks.clone(), reader.clone());
        let rate_beside = run(&stocks, Some(capacity / 2.0), window).await?;
        done.store(true, Ordering::Relaxed);
        let waits = waited.await??;
        ensure!(!waits.is_empty(), "no reader waited");

        projections.stop().await;
        ensure!(engine.drain(DRAIN_BOUND).await.complete, "the journal was not closed in good order");
        let figure = |what: &str, rate: f64, measured, target| Figure {
            name: Measurement::Lag.name(),
            what: format!("{what}, 4 views in SQLite, {rate:.0} of {capacity:.0} commands/s in process"),
            measured,
            unit: Unit::Milliseconds,
            baseline: None,
            target,
            p99_milliseconds: None,
        };
        let at = |share, durations: &[Duration]| quantile(share, durations.iter().copied()).as_secs_f64() * 1000.0;
        Ok(vec![
            figure("p50 from commit to view", rate, at(0.5, &lags), None),
            figure("p99 from commit to view", rate, at(0.99, &lags), Some(LAG)),
            figure("p50 of a read that waits for its command", rate_beside, at(0.5, &waits), None),
            figure("p99 of a read that waits for its command", rate_beside, at(0.99, &waits), Some(WAIT)),
        ])
    })
}

/// Commands per second: as many as possible, or at a rate.
async fn run(stocks: &Aggregates<Inventory>, rate_per_second: Option<f64>, window: Duration) -> Result<f64> {
    let total = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let callers: Vec<JoinHandle<Result<()>>> = (0..CALLERS)
        .map(|caller| {
            let (stocks, total) = (stocks.clone(), Arc::clone(&total));
            tokio::spawn(async move {
                let mut ticks = interval(TICK);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let (mut call, mut due) = (0_usize, f64::INFINITY);
                while started.elapsed() < window {
                    if let Some(rate) = rate_per_second {
                        due = started.elapsed().as_secs_f64() * rate / CALLERS as f64;
                    }
                    if call as f64 >= due {
                        ticks.tick().await;
                        continue;
                    }
                    let id = AggregateId::new(format!("sku-{}", (caller * 7_919 + call * 104_729) % AGGREGATES))?;
                    let command = InventoryCommand::UpdateInventory { change: 1, reason: Text::new("benchmark")? };
                    stocks.execute(id, command, CommandOptions::default()).await?;
                    call += 1;
                    total.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(total.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// Records the time from each commit to the view, until it is told to stop.
fn watch(journal: &Journal, reader: &Reader) -> (Arc<AtomicBool>, JoinHandle<Vec<Duration>>) {
    let done = Arc::new(AtomicBool::new(false));
    let (mut head, mut progress, told) = (journal.head(), reader.progress(), Arc::clone(&done));
    let watched = tokio::spawn(async move {
        let (mut committed, mut lags) = (VecDeque::<(Position, Instant)>::new(), Vec::new());
        while !told.load(Ordering::Relaxed) {
            tokio::select! {
                // First, because a view may show an event as soon as it is committed.
                biased;
                Ok(()) = head.changed() => committed.push_back((*head.borrow_and_update(), Instant::now())),
                Ok(()) = progress.changed() => {
                    let reached = progress.borrow_and_update().position;
                    while let Some((_, at)) = committed.pop_front_if(|(position, _)| *position <= reached) {
                        lags.push(at.elapsed());
                    }
                }
                () = sleep(TICK) => {}
            }
        }
        lags
    });
    (done, watched)
}

/// Sends a command, waits until it is in the view, and repeats this until it is told to stop. Returns the times.
fn wait(stocks: Aggregates<Inventory>, reader: Reader) -> (Arc<AtomicBool>, JoinHandle<Result<Vec<Duration>>>) {
    let done = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&done);
    let waited = tokio::spawn(async move {
        let mut waits = Vec::new();
        while !told.load(Ordering::Relaxed) {
            let command = InventoryCommand::UpdateInventory { change: 1, reason: Text::new("benchmark")? };
            let id = AggregateId::new(format!("sku-{}", waits.len() % AGGREGATES))?;
            let outcome = stocks.execute(id, command, CommandOptions::default()).await?;
            let committed = Instant::now();
            reader.wait_for(outcome.position.context("no event was written")?, DRAIN_BOUND).await?;
            waits.push(committed.elapsed());
        }
        Ok(waits)
    });
    (done, waited)
}

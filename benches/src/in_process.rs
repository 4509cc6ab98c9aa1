//! Commands in process into a journal in memory: the cost of the engine itself, beside bare ractor calls.

mod durable;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use dormouse_aggregates::commerce::{Inventory, InventoryCommand, Text};
use dormouse_config::Config;
use dormouse_engine::{Aggregates, CommandOptions, Engine};
use dormouse_journal::store::{Memory, Retention};
use dormouse_journal::{Journal, Options};
use dormouse_kernel::AggregateId;
use ractor::{Actor, ActorProcessingErr, ActorRef, ActorRuntime, RpcReplyPort};

use crate::figure::{Baseline, Figure, Target, Unit};
use crate::{Arguments, Measurement};
pub(crate) use durable::measure as durable;

/// DESIGN §8.
const TARGET: Target = Target { floor: 0.12, aim: 0.25 };
const CALLERS: usize = 64;
const BARE_ACTORS: usize = 64;

/// As many as there are bare actors; and as many as in the benchmarks over HTTP, which are more than fit the
/// processor's caches.
const AGGREGATES: [usize; 2] = [BARE_ACTORS, 5_000];

pub(crate) fn measure(arguments: &Arguments) -> Result<Vec<Figure>> {
    AGGREGATES.into_iter().map(|aggregates| with(aggregates, arguments)).collect()
}

fn with(aggregates: usize, arguments: &Arguments) -> Result<Figure> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let window = Duration::from_secs(arguments.seconds.min(3));
        let bare = bare_actors().await?;
        let ids = Arc::new(ids(aggregates)?);
        let (mut best, mut best_bare) = (0.0_f64, 0.0_f64);
        for round in 1..=arguments.rounds {
            eprintln!("in process: round {round} of {}", arguments.rounds);
            let actors = bare.clone();
            let bare_calls = move |caller, call| bare_call(actors.clone(), caller, call);
            best_bare = best_bare.max(rate(CALLERS, window, bare_calls).await?);
            // A new journal each time, because in memory it only grows.
            let engine = engine().await?;
            let stocks = engine.aggregates::<Inventory>().context("inventory is not registered")?;
            let ids = Arc::clone(&ids);
            let commands = move |caller, call| command(stocks.clone(), id(&ids, caller, call));
            best = best.max(rate(CALLERS, window, commands).await?);
            engine.drain(Duration::from_secs(10)).await;
        }
        Ok(Figure {
            name: Measurement::InProcess.name(),
            what: format!("commands in process, memory journal, {CALLERS} callers, {aggregates} aggregates"),
            measured: best,
            unit: Unit::PerSecond,
            baseline: Some(Baseline { what: "bare ractor calls", measured: best_bare }),
            target: Some(TARGET),
            p99_milliseconds: None,
        })
    })
}

/// Calls per second of this many callers; each waits for its answer before the next call.
async fn rate<C, F>(callers: usize, window: Duration, call: C) -> Result<f64>
where
    C: Fn(usize, usize) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let done = Arc::new(AtomicBool::new(false));
    let total = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let (done, total, call) = (Arc::clone(&done), Arc::clone(&total), call.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                while !done.load(Ordering::Relaxed) {
                    call(caller, calls).await?;
                    calls += 1;
                }
                total.fetch_add(calls as u64, Ordering::Relaxed);
                anyhow::Ok(())
            })
        })
        .collect();
    tokio::time::sleep(window).await;
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await??;
    }
    Ok(total.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

async fn engine() -> Result<Engine> {
    let config = Config::embedded();
    let store = Memory::new(Retention::from_config(&config.snapshots));
    let journal = Journal::start(Arc::new(store), Options::default()).await?;
    Ok(Engine::builder(config).aggregate::<Inventory>().start(journal).await?)
}

async fn command(stocks: Aggregates<Inventory>, id: AggregateId) -> Result<()> {
    let command = InventoryCommand::UpdateInventory { change: 1, reason: Text::new("benchmark")? };
    stocks.execute(id, command, CommandOptions::default()).await?;
    Ok(())
}

/// Made beforehand, because the bare callers have no names to make.
fn ids(aggregates: usize) -> Result<Vec<AggregateId>> {
    let ids: Result<_, _> = (0..aggregates).map(|number| AggregateId::new(format!("sku-{number}"))).collect();
    Ok(ids?)
}

/// Each caller walks through the aggregates with a stride of its own.
fn id(ids: &[AggregateId], caller: usize, call: usize) -> AggregateId {
    ids[(caller * 7_919 + call * 104_729) % ids.len()].clone()
}

struct Counter;

impl Actor for Counter {
    type Msg = RpcReplyPort<u64>;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _myself: ActorRef<Self::Msg>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        reply: RpcReplyPort<u64>,
        count: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        *count += 1;
        Ok(reply.send(*count)?)
    }
}

async fn bare_actors() -> Result<Arc<Vec<ActorRef<RpcReplyPort<u64>>>>> {
    let mut actors = Vec::new();
    for _ in 0..BARE_ACTORS {
        actors.push(ActorRuntime::spawn(None, Counter, ()).await?.0);
    }
    Ok(Arc::new(actors))
}

async fn bare_call(actors: Arc<Vec<ActorRef<RpcReplyPort<u64>>>>, caller: usize, call: usize) -> Result<()> {
    let answer = actors[(caller + call) % BARE_ACTORS].call(|reply| reply, None).await?;
    anyhow::ensure!(matches!(answer, ractor::rpc::CallResult::Success(_)), "a bare call failed");
    Ok(())
}

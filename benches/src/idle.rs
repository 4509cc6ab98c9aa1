//! The processor time of a server that has nothing to do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use dormouse_harness::Server;

use crate::figure::{Figure, Target, Unit};
use crate::footprint::{live, wake};
use crate::{Arguments, Measurement};

/// DESIGN §8, in parts of a core.
const TARGET: Target = Target { floor: 0.003, aim: 0.001 };

const AGGREGATES: usize = 10_000;

/// After this time the indexer and the views have finished, and the connections of the load are closed.
const SETTLED: Duration = Duration::from_secs(5);

/// Few wake-ups per second are counted in ticks of 10 ms, so a smaller difference says little.
const WATCHED: Duration = Duration::from_secs(30);

/// Ticks of processor time per second, the same on every common Linux (`getconf CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) fn measure(arguments: &Arguments) -> Result<Figure> {
    let server = Server::builder().set("log.level=\"error\"").set(format!("passivation.max_live={}", 4 * AGGREGATES));
    let server = server.start();
    wake(&server, "idle", AGGREGATES, 1, arguments.connections)?;
    std::thread::sleep(SETTLED);
    let live = live(&server)?;
    eprintln!("idle: watching for {} s", WATCHED.as_secs());
    let (before, began) = (processor_seconds(&server)?, Instant::now());
    std::thread::sleep(WATCHED);
    let took = processor_seconds(&server)? - before;
    Ok(Figure {
        name: Measurement::Idle.name(),
        what: format!("processor time of an idle server, SQLite, {live} live aggregates"),
        measured: took / began.elapsed().as_secs_f64(),
        unit: Unit::OfACore,
        baseline: None,
        target: Some(TARGET),
        p99_milliseconds: None,
    })
}

/// User and system time of all its threads (proc_pid_stat(5), fields 14 and 15).
fn processor_seconds(server: &Server) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid()))?;
    let (_, fields) = stat.rsplit_once(')').context("no processor time")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}

//! Durable commands over HTTP, each beside its baseline under the same load.

use std::process::Command;

use anyhow::{Result, bail, ensure};
use dormouse_harness::{Postgres, Server, ServerBuilder};

use crate::child;
use crate::cqrs_es;
use crate::figure::{Baseline, Figure, Target, Unit};
use crate::redis::Redis;
use crate::wrk::{Aggregates, BULK_LINES, Load, Wrk};
use crate::{Arguments, Measurement};

/// The number of aggregates, except for the benchmark of one hot aggregate.
pub(crate) const AGGREGATES: usize = 5_000;

/// The callers of the hot aggregate: fewer than its permits, so that none is refused.
const HOT_CONNECTIONS: usize = 64;

/// The connections that send commands in bulk.
const BULK_CONNECTIONS: usize = 16;

/// The metrics of bulk lines that were not carried out.
const REFUSED_LINES: [&str; 2] =
    ["dormouse_bulk_lines_total{outcome=\"refused\"}", "dormouse_bulk_lines_total{outcome=\"failed\"}"];

/// The time to load the aggregates and fill the caches before the measurement.
const WARM_UP_SECONDS: u64 = 2;

/// DESIGN §8.
const BESIDE_ECHO: Target = Target { floor: 0.45, aim: 0.6 };
const BESIDE_REDIS: Target = Target { floor: 0.7, aim: 1.0 };
const BESIDE_CQRS_ES: Target = Target { floor: 7.0, aim: 10.0 };
const BULK_BESIDE_SINGLE: Target = Target { floor: 2.5, aim: 4.0 };
const HOT: Target = Target { floor: 25_000.0, aim: 50_000.0 };

/// SQLite beside an axum server that parses the same JSON and sends it back; without and with command keys.
pub(crate) fn sqlite(arguments: &Arguments) -> Result<Vec<Figure>> {
    let plain = beside_echo(Measurement::Sqlite, "SQLite", false, sqlite_server(), arguments)?;
    let keyed = beside_echo(Measurement::Sqlite, "SQLite", true, sqlite_server(), arguments)?;
    // The design's target is for plain commands.
    Ok(vec![Figure { target: Some(BESIDE_ECHO), ..plain }, keyed])
}

/// PostgreSQL beside the echo server. The design has no target for it, but a regression shows.
pub(crate) fn postgres(arguments: &Arguments) -> Result<Vec<Figure>> {
    let postgres = Postgres::start();
    let on_postgres = || Server::builder().journal(postgres.create_database());
    let plain = beside_echo(Measurement::Postgres, "PostgreSQL", false, on_postgres(), arguments)?;
    let keyed = beside_echo(Measurement::Postgres, "PostgreSQL", true, on_postgres(), arguments)?;
    Ok(vec![plain, keyed])
}

/// SQLite beside Redis, which appends entries of the same size to its streams, each durable before it is answered.
pub(crate) fn redis(arguments: &Arguments) -> Result<Figure> {
    let server = started(sqlite_server());
    let redis = Redis::start()?;
    let wrk = spread(arguments, false);
    wrk.run(&server.url(), WARM_UP_SECONDS)?;
    redis.warm_up(arguments.connections)?;
    let measure = || wrk.run(&server.url(), arguments.seconds);
    let baseline = || redis.append(arguments.connections, arguments.seconds);
    let (load, baseline) = alternate("SQLite beside Redis", arguments.rounds, measure, baseline)?;
    let what = format!("durable commands over HTTP, SQLite, {} connections", arguments.connections);
    let figure = figure(Measurement::Redis, what, load, Some(("redis XADD, appendfsync always", baseline)));
    Ok(Figure { target: Some(BESIDE_REDIS), ..figure })
}

/// Commands in bulk beside single ones, on the same server with SQLite.
pub(crate) fn bulk(arguments: &Arguments) -> Result<Figure> {
    let server = started(sqlite_server());
    let single = spread(arguments, false);
    let bulk = Wrk { connections: BULK_CONNECTIONS, ..single };
    bulk.run_bulk(&server.url(), WARM_UP_SECONDS)?;
    let measure = || bulk.run_bulk(&server.url(), arguments.seconds);
    let baseline = || single.run(&server.url(), arguments.seconds);
    let (load, baseline) = alternate("bulk beside single commands", arguments.rounds, measure, baseline)?;
    let metrics = server.client().get("/metrics").map_err(|error| anyhow::anyhow!("no metrics: {error}"))?;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    ensure!(!REFUSED_LINES.iter().any(|refused| metrics.contains(refused)), "lines were refused");
    let what = format!("durable commands in bulk, SQLite, {BULK_CONNECTIONS} connections, {BULK_LINES} to a request");
    let figure = figure(Measurement::Bulk, what, load, Some(("single commands, 256 connections", baseline)));
    Ok(Figure { target: Some(BULK_BESIDE_SINGLE), ..figure })
}

/// PostgreSQL beside the same aggregate on cqrs-es and postgres-es, on the same database server.
pub(crate) fn cqrs_es(arguments: &Arguments) -> Result<Figure> {
    let program = cqrs_es::build()?;
    let postgres = Postgres::start();
    let server = started(Server::builder().journal(postgres.create_database()));
    let theirs = child::Server::announcing_itself(Command::new(program).arg(postgres.create_database()))?;
    let wrk = spread(arguments, false);
    wrk.run(&server.url(), WARM_UP_SECONDS)?;
    wrk.run(&theirs.url(), WARM_UP_SECONDS)?;
    let measure = || wrk.run(&server.url(), arguments.seconds);
    let baseline = || wrk.run(&theirs.url(), arguments.seconds);
    let (load, baseline) = alternate("PostgreSQL beside cqrs-es", arguments.rounds, measure, baseline)?;
    let what = format!("durable commands over HTTP, PostgreSQL, {} connections", arguments.connections);
    let figure = figure(Measurement::CqrsEs, what, load, Some(("cqrs-es + postgres-es behind axum", baseline)));
    Ok(Figure { target: Some(BESIDE_CQRS_ES), ..figure })
}

/// Single commands on SQLite, as a baseline.
pub(crate) fn commands(arguments: &Arguments) -> Result<f64> {
    let server = started(sqlite_server());
    let wrk = spread(arguments, false);
    wrk.run(&server.url(), WARM_UP_SECONDS)?;
    let mut best = None;
    for round in 1..=arguments.rounds {
        eprintln!("commands over HTTP: round {round} of {}", arguments.rounds);
        keep_best(&mut best, wrk.run(&server.url(), arguments.seconds)?);
    }
    let Some(load) = best else { bail!("nothing measured: --rounds is 0") };
    Ok(load.rate_per_second)
}

/// One aggregate that gets the commands of all clients, on SQLite.
pub(crate) fn hot(arguments: &Arguments) -> Result<Figure> {
    let server = started(sqlite_server());
    let wrk = Wrk { connections: HOT_CONNECTIONS, aggregates: Aggregates::Random(1), keys: false, tokens: None };
    wrk.run(&server.url(), WARM_UP_SECONDS)?;
    let mut best = None;
    for round in 1..=arguments.rounds {
        eprintln!("one hot aggregate: round {round} of {}", arguments.rounds);
        keep_best(&mut best, wrk.run(&server.url(), arguments.seconds)?);
    }
    let Some(load) = best else { bail!("nothing measured: --rounds is 0") };
    let what = format!("durable commands over HTTP, SQLite, one hot aggregate, {HOT_CONNECTIONS} connections");
    Ok(Figure { target: Some(HOT), ..figure(Measurement::Hot, what, load, None) })
}

fn beside_echo(
    measurement: Measurement,
    store: &str,
    keys: bool,
    server: ServerBuilder,
    arguments: &Arguments,
) -> Result<Figure> {
    let echo = child::Server::announcing_itself(Command::new(std::env::current_exe()?).arg("--echo"))?;
    let server = started(server);
    let wrk = spread(arguments, keys);
    wrk.run(&server.url(), WARM_UP_SECONDS)?;
    wrk.run(&echo.url(), WARM_UP_SECONDS)?;
    let title = format!("{store}{} beside the echo", if keys { ", with keys," } else { "" });
    let measure = || wrk.run(&server.url(), arguments.seconds);
    let (load, baseline) = alternate(&title, arguments.rounds, measure, || wrk.run(&echo.url(), arguments.seconds))?;
    let keyed = if keys { ", each with a key" } else { "" };
    let what = format!("durable commands over HTTP, {store}{keyed}, {} connections", arguments.connections);
    Ok(figure(measurement, what, load, Some(("axum echo", baseline))))
}

fn sqlite_server() -> ServerBuilder {
    Server::builder()
}

pub(crate) fn started(server: ServerBuilder) -> Server {
    server.set("log.level=\"error\"").start()
}

fn spread(arguments: &Arguments, keys: bool) -> Wrk<'static> {
    Wrk { connections: arguments.connections, aggregates: Aggregates::Random(AGGREGATES), keys, tokens: None }
}

/// Measures both sides alternately, so that a slow minute of the machine slows both. Returns the best of each.
pub(crate) fn alternate(
    title: &str,
    rounds: usize,
    measure: impl Fn() -> Result<Load>,
    baseline: impl Fn() -> Result<Load>,
) -> Result<(Load, Load)> {
    let (mut best, mut best_baseline) = (None, None);
    for round in 1..=rounds {
        eprintln!("{title}: round {round} of {rounds}");
        keep_best(&mut best_baseline, baseline()?);
        keep_best(&mut best, measure()?);
    }
    let (Some(best), Some(best_baseline)) = (best, best_baseline) else { bail!("nothing measured: --rounds is 0") };
    Ok((best, best_baseline))
}

fn keep_best(best: &mut Option<Load>, load: Load) {
    if best.is_none_or(|best| load.rate_per_second > best.rate_per_second) {
        *best = Some(load);
    }
}

pub(crate) fn figure(
    measurement: Measurement,
    what: String,
    load: Load,
    baseline: Option<(&'static str, Load)>,
) -> Figure {
    Figure {
        name: measurement.name(),
        what,
        measured: load.rate_per_second,
        unit: Unit::PerSecond,
        baseline: baseline.map(|(what, baseline)| Baseline { what, measured: baseline.rate_per_second }),
        target: None,
        p99_milliseconds: load.p99_milliseconds,
    }
}

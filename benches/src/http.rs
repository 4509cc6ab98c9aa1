//! Durable commands over HTTP, driven by wrk, beside the echo server under the same load.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use dormouse_harness::{Postgres, Server, ServerBuilder};

use crate::Arguments;
use crate::ratio::Ratio;

const SCRIPT: &str = include_str!("commands.lua");

/// DESIGN §8 gives a floor for SQLite; PostgreSQL's floor there is beside another baseline.
const SQLITE_FLOOR: f64 = 0.45;

pub(crate) fn sqlite(arguments: &Arguments) -> anyhow::Result<Vec<Ratio>> {
    beside_echo("SQLite", Some(SQLITE_FLOOR), Server::builder, arguments)
}

pub(crate) fn postgres(arguments: &Arguments) -> anyhow::Result<Vec<Ratio>> {
    let postgres = Postgres::start();
    beside_echo("PostgreSQL", None, || Server::builder().journal(postgres.create_database()), arguments)
}

fn beside_echo(
    store: &str,
    floor: Option<f64>,
    server: impl Fn() -> ServerBuilder,
    arguments: &Arguments,
) -> anyhow::Result<Vec<Ratio>> {
    let mut ratios = Vec::new();
    for keys in [false, true] {
        let echo = Echo::start()?;
        let server = server().set("log.level=\"error\"").start();
        // Wakes the aggregates, and fills the caches of both sides.
        wrk(&server.url(), 2, keys, arguments)?;
        wrk(&echo.url, 1, keys, arguments)?;
        let (mut best, mut best_echo): (Option<Load>, Option<Load>) = (None, None);
        for round in 1..=arguments.rounds {
            eprintln!("{store}{}: round {round} of {}", if keys { ", with keys" } else { "" }, arguments.rounds);
            keep_best(&mut best_echo, wrk(&echo.url, arguments.seconds, keys, arguments)?);
            keep_best(&mut best, wrk(&server.url(), arguments.seconds, keys, arguments)?);
        }
        let (Some(best), Some(best_echo)) = (best, best_echo) else { bail!("nothing measured: --rounds is 0") };
        ratios.push(Ratio {
            what: format!("durable commands over HTTP, {store}{}", if keys { ", each with a key" } else { "" }),
            rate_per_second: best.rate_per_second,
            baseline: "axum echo",
            baseline_per_second: best_echo.rate_per_second,
            // The design's floor speaks of plain commands.
            floor: floor.filter(|_| !keys),
            p99_milliseconds: Some(best.p99_milliseconds),
        });
    }
    Ok(ratios)
}

struct Load {
    rate_per_second: f64,
    p99_milliseconds: f64,
}

fn keep_best(best: &mut Option<Load>, load: Load) {
    if best.as_ref().is_none_or(|best| load.rate_per_second > best.rate_per_second) {
        *best = Some(load);
    }
}

fn wrk(url: &str, seconds: u64, keys: bool, arguments: &Arguments) -> anyhow::Result<Load> {
    let script = std::env::temp_dir().join(format!("dormouse-bench-{}.lua", std::process::id()));
    std::fs::write(&script, SCRIPT)?;
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &arguments.connections.to_string()])
        .args(["--duration", &format!("{seconds}s"), "--script"])
        .arg(&script)
        .arg(url)
        .env("BENCH_KEYS", if keys { "1" } else { "0" })
        .output()
        .context("cannot run wrk")?;
    std::fs::remove_file(&script)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT ")).context("wrk printed no result")?;
    let numbers: Vec<f64> = result.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [requests, microseconds, refused, broken, p99] = numbers[..] else { bail!("unexpected result: {result}") };
    // A server that refuses is fast: such a run measures nothing.
    ensure!(refused == 0.0 && broken == 0.0, "{refused} requests were refused, {broken} broke: {url}");
    Ok(Load { rate_per_second: requests / (microseconds / 1e6), p99_milliseconds: p99 / 1e3 })
}

struct Echo {
    process: Child,
    url: String,
}

impl Echo {
    fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?).arg("--echo").stdout(Stdio::piped()).spawn()?;
        let stdout = process.stdout.take().context("the echo server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let url = line.trim().strip_prefix("listening on ").context("the echo server did not start")?.to_owned();
        Ok(Self { process, url })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It has nothing to lose, and is gone either way.
        let _gone = self.process.kill().and_then(|()| self.process.wait());
    }
}

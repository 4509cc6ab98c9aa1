//! The HTTP client: wrk with `commands.lua`, or another script beside it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

const COMMANDS: &str = concat!(include_str!("commands.lua"), "\n", include_str!("threads.lua"));
const BULK: &str = include_str!("bulk.lua");
const ORDERS: &str = concat!(include_str!("orders.lua"), "\n", include_str!("threads.lua"));
const READS: &str = include_str!("reads.lua");
const RESULT: &str = include_str!("result.lua");

/// The requests of wrk.
#[derive(Clone, Copy)]
pub(crate) struct Wrk<'t> {
    pub(crate) connections: usize,
    /// The number of aggregates.
    pub(crate) aggregates: Aggregates,
    /// Gives each command a key of its own.
    pub(crate) keys: bool,
    /// A file with tokens, one on each line. Each request has one of them, at random.
    pub(crate) tokens: Option<&'t Path>,
}

#[derive(Clone, Copy)]
pub(crate) enum Aggregates {
    /// One of this many, at random.
    Random(usize),
    /// One after the other, starting with this number.
    EachFrom(usize),
}

/// The result of a run.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) rate_per_second: f64,
    pub(crate) p99_milliseconds: Option<f64>,
}

/// The commands of one bulk request, as in `bulk.lua`.
pub(crate) const BULK_LINES: f64 = 64.0;

/// A request without an answer after this time counts as broken.
const TIMEOUT_SECONDS: u64 = 2;
const SLOW_TIMEOUT_SECONDS: u64 = 60;

impl Wrk<'_> {
    pub(crate) fn run(&self, url: &str, seconds: u64) -> Result<Load> {
        self.run_script(COMMANDS, url, seconds, TIMEOUT_SECONDS)
    }

    /// For a server under callgrind: with a long timeout.
    pub(crate) fn run_slowly(&self, url: &str, seconds: u64) -> Result<Load> {
        self.run_script(COMMANDS, url, seconds, SLOW_TIMEOUT_SECONDS)
    }

    /// Sends commands in bulk, [`BULK_LINES`] per request, and counts the commands.
    pub(crate) fn run_bulk(&self, url: &str, seconds: u64) -> Result<Load> {
        let requests = self.run_script(BULK, url, seconds, TIMEOUT_SECONDS)?;
        let (commands, rate) = (requests.requests * BULK_LINES, requests.rate_per_second * BULK_LINES);
        Ok(Load { requests: commands, rate_per_second: rate, ..requests })
    }

    /// Creates orders, each with an e-mail address: of so many persons, or, if that is zero, each of a new person.
    pub(crate) fn create_orders(&self, url: &str, seconds: u64, persons: usize) -> Result<Load> {
        let script = format!("local persons = {persons}\n{ORDERS}");
        self.run_script(&script, url, seconds, TIMEOUT_SECONDS)
    }

    /// Reads documents of the view of the inventory.
    pub(crate) fn read(&self, url: &str, seconds: u64) -> Result<Load> {
        self.run_script(READS, url, seconds, TIMEOUT_SECONDS)
    }

    fn run_script(&self, what: &str, url: &str, seconds: u64, timeout_seconds: u64) -> Result<Load> {
        // wrk reads a script only from a file.
        let script = tempfile::Builder::new().prefix("dormouse-bench-").suffix(".lua").tempfile()?;
        std::fs::write(script.path(), format!("{what}\n{RESULT}"))?;
        let (random, first) = match self.aggregates {
            Aggregates::Random(count) => (count, 0),
            Aggregates::EachFrom(first) => (0, first),
        };
        let output = Command::new("wrk")
            .args(["--threads", "1", "--connections", &self.connections.to_string()])
            .args(["--timeout", &format!("{timeout_seconds}s"), "--duration", &format!("{seconds}s"), "--script"])
            .arg(script.path())
            .arg(url)
            .env("BENCH_KEYS", if self.keys { "1" } else { "0" })
            .env("BENCH_AGGREGATES", random.to_string())
            .env("BENCH_FIRST", first.to_string())
            .env("BENCH_TOKENS", self.tokens.map_or(OsStr::new(""), Path::as_os_str))
            .output()
            .context("cannot run wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let result = text.lines().find_map(|line| line.strip_prefix("RESULT ")).context("wrk printed no result")?;
        let numbers: Vec<f64> = result.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [requests, microseconds, refused, broken, p99] = numbers[..] else { bail!("unexpected result: {result}") };
        // A server that refuses is fast, so such a run measures nothing.
        ensure!(refused == 0.0 && broken == 0.0, "{refused} requests were refused, {broken} broke: {url}");
        Ok(Load { requests, rate_per_second: requests / (microseconds / 1e6), p99_milliseconds: Some(p99 / 1e3) })
    }
}

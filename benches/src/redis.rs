//! Redis as a log: its own benchmark appends to streams, each append durable before it is answered.

use dormouse_journal::PageLimit;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use dormouse_aggregates::commerce::{Inventory, InventoryCommand, Text};
use dormouse_config::Config;
use dormouse_engine::{CommandOptions, Engine};
use dormouse_kernel::{AggregateId, Position};
use tempfile::TempDir;

use crate::child::{Server, free_address};
use crate::http::AGGREGATES;
use crate::wrk::Load;

/// The number of appends that shows how many are needed for the wanted time.
const PROBE: u64 = 20_000;

pub(crate) struct Redis {
    server: Server,
    // Fields are dropped in order: Redis is killed before its directory is removed.
    _directory: TempDir,
    payload: String,
}

impl Redis {
    pub(crate) fn start() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("dormouse-redis-").tempdir()?;
        let address = free_address()?;
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            // No dumps or rewrites of the log during the measurement: they would only slow it.
            .args(["--save", "", "--auto-aof-rewrite-percentage", "0"])
            .args(["--loglevel", "warning"])
            .arg("--dir")
            .arg(directory.path());
        let server = Server::listening_at(address, &mut command)?;
        Ok(Self { server, _directory: directory, payload: "x".repeat(event_bytes()?) })
    }

    pub(crate) fn warm_up(&self, connections: usize) -> Result<()> {
        self.benchmark(connections, PROBE).map(drop)
    }

    /// Appends for about this time.
    pub(crate) fn append(&self, connections: usize, seconds: u64) -> Result<Load> {
        let probe = self.benchmark(connections, PROBE)?;
        self.benchmark(connections, (probe.rate_per_second * seconds as f64) as u64)
    }

    fn benchmark(&self, connections: usize, requests: u64) -> Result<Load> {
        let output = Command::new("redis-benchmark")
            .args(["-h", "127.0.0.1", "-p", &self.server.address.port().to_string()])
            .args(["-c", &connections.to_string(), "-n", &requests.to_string(), "-r", &AGGREGATES.to_string(), "--csv"])
            .args(["XADD", "stream:__rand_int__", "*", "event", &self.payload])
            .output()
            .context("cannot run redis-benchmark")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success() && !text.contains("ERR"), "redis-benchmark failed: {text}");
        // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms",…
        let line = text.lines().find(|line| line.starts_with("\"XADD")).context("redis-benchmark printed no result")?;
        let fields: Vec<&str> = line.rsplit("\",\"").map(|field| field.trim_matches('"')).collect();
        let from_the_end = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        let (p99, rate) = (from_the_end(1), from_the_end(6));
        let rate_per_second = rate.with_context(|| format!("unexpected result: {line}"))?;
        Ok(Load { requests: requests as f64, rate_per_second, p99_milliseconds: p99 })
    }
}

/// The size of one command in the journal: payload and metadata of its event.
fn event_bytes() -> Result<usize> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut config = Config::embedded();
        config.journal.url = "memory:".parse()?;
        let journal = dormouse_journal::open(&config, None).await?;
        let engine = Engine::builder(config).aggregate::<Inventory>().start(journal).await?;
        let stocks = engine.aggregates::<Inventory>().context("inventory is not registered")?;
        let command = InventoryCommand::UpdateInventory { change: 1, reason: Text::new("benchmark")? };
        stocks.execute(AggregateId::new("sku-1234")?, command, CommandOptions::default()).await?;
        let log = engine.journal().read_log(Position::ZERO, PageLimit::ONE).await?;
        let event = &log.first().context("a command without an event")?.event;
        Ok(event.payload.len() + event.metadata.len())
    })
}

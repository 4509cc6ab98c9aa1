//! The memory of a live, idle, small aggregate with everything that belongs to it: the growth of the real server's
//! resident memory, divided by the number of aggregates.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dormouse_harness::Server;

use crate::figure::{Figure, Target, Unit};
use crate::http::AGGREGATES as WARM_UP_AGGREGATES;
use crate::wrk::{Aggregates, Wrk};
use crate::{Arguments, Measurement};

/// DESIGN §8: 10 KiB are accepted, 6 KiB are the aim.
const TARGET: Target = Target { floor: 10.0 * 1024.0, aim: 6.0 * 1024.0 };

const AGGREGATES: usize = 100_000;

const POPULATE_BOUND: Duration = Duration::from_secs(300);

/// The metric of live aggregates.
const LIVE: &str = "dormouse_aggregates_live{aggregate_type=\"inventory\"} ";

/// Resident memory is read when it has changed by less than a hundredth for this time: then the indexer has finished,
/// and the allocator has returned its free memory.
const SETTLED: Duration = Duration::from_secs(2);

pub(crate) fn measure(arguments: &Arguments) -> Result<Figure> {
    let more_than_enough = 2 * (AGGREGATES + WARM_UP_AGGREGATES);
    let server =
        Server::builder().set("log.level=\"error\"").set(format!("passivation.max_live={more_than_enough}")).start();
    // Connections, threads and buffers exist before the measurement: the load before it is the same, over few
    // aggregates.
    eprintln!("footprint: warming up");
    let wrk = |aggregates| Wrk { connections: arguments.connections, aggregates, keys: false, tokens: None };
    wrk(Aggregates::Random(WARM_UP_AGGREGATES)).run(&server.url(), 3)?;
    let before = (live(&server)?, settled_bytes(&server)?);
    wake(&server, "footprint", AGGREGATES, WARM_UP_AGGREGATES + 1, arguments.connections)?;
    let after = (live(&server)?, settled_bytes(&server)?);
    let more = after.0 - before.0;
    Ok(Figure {
        name: Measurement::Footprint.name(),
        what: format!("resident memory per live, idle aggregate with one event, SQLite, {more} of them"),
        measured: after.1.saturating_sub(before.1) as f64 / more as f64,
        unit: Unit::Bytes,
        baseline: None,
        target: Some(TARGET),
        p99_milliseconds: None,
    })
}

/// Creates this many more aggregates with one event each, starting with this number.
pub(crate) fn wake(server: &Server, title: &str, count: usize, first: usize, connections: usize) -> Result<()> {
    let (started, before, mut next) = (Instant::now(), live(server)?, first);
    while live(server)? < before + count {
        ensure!(started.elapsed() < POPULATE_BOUND, "{count} aggregates take too long to wake");
        eprintln!("{title}: {} of {count} aggregates", live(server)? - before);
        let load = Wrk { connections, aggregates: Aggregates::EachFrom(next), keys: false, tokens: None }
            .run(&server.url(), 1)?;
        next += load.requests as usize;
    }
    Ok(())
}

/// The number of live aggregates in the metrics; zero if the metrics have none of this type.
pub(crate) fn live(server: &Server) -> Result<usize> {
    let answer = server.client().get("/metrics").map_err(|error| anyhow::anyhow!("no metrics: {error}"))?;
    let metrics = String::from_utf8_lossy(&answer.body);
    let count = metrics.lines().find_map(|line| line.strip_prefix(LIVE));
    count.map_or(Ok(0), |count| count.parse().context("the metrics do not say how many are live"))
}

fn settled_bytes(server: &Server) -> Result<u64> {
    let (mut bytes, mut since) = (resident_bytes(server)?, Instant::now());
    while since.elapsed() < SETTLED {
        std::thread::sleep(Duration::from_millis(100));
        let now = resident_bytes(server)?;
        if now.abs_diff(bytes) > bytes / 100 {
            (bytes, since) = (now, Instant::now());
        }
    }
    Ok(bytes)
}

fn resident_bytes(server: &Server) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no resident memory")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}

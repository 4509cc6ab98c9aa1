//! Benchmarks of Dormouse, each beside its baseline: alternating in one run, because machines are noisy, and printed as
//! a ratio, because machines differ.

mod echo;
mod http;
mod in_process;
mod ratio;

use clap::{Parser, ValueEnum};

use ratio::Ratio;

/// The server's allocator, so that what is measured in process, and its baseline, run on what the server runs on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Dormouse beside its baselines and prints the ratios.
#[derive(Parser)]
struct Arguments {
    /// Only these measurements.
    #[arg(long, value_enum)]
    only: Vec<Measurement>,
    /// How often each side is measured, alternating; the best of each counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each takes, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections of the HTTP client.
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// A line of JSON per ratio instead of a table.
    #[arg(long)]
    json: bool,
    /// Be the echo server that the others are measured against.
    #[arg(long, hide = true)]
    echo: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// Durable commands over HTTP into SQLite, beside an axum server that echoes the same JSON.
    Sqlite,
    /// The same into PostgreSQL.
    Postgres,
    /// Commands in process into a memory journal, beside bare ractor calls.
    InProcess,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.echo {
        return echo::serve();
    }
    let wanted = |measurement| arguments.only.is_empty() || arguments.only.contains(&measurement);
    let mut ratios = Vec::new();
    if wanted(Measurement::InProcess) {
        ratios.push(in_process::measure(&arguments)?);
    }
    if wanted(Measurement::Sqlite) {
        ratios.extend(http::sqlite(&arguments)?);
    }
    if wanted(Measurement::Postgres) {
        ratios.extend(http::postgres(&arguments)?);
    }
    if !arguments.json {
        println!("{}", Ratio::HEADER);
    }
    for ratio in &ratios {
        println!("{}", if arguments.json { ratio.to_json() } else { ratio.to_string() });
    }
    Ok(())
}

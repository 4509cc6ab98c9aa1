//! Benchmarks of Dormouse, each beside its baseline: alternating in one run, because machines are noisy, and printed as
//! a ratio, because machines differ.

mod child;
mod cqrs_es;
mod echo;
mod figure;
mod footprint;
mod hosting;
mod http;
mod idle;
mod in_process;
mod messaging;
mod overload;
mod projecting;
mod reading;
mod redis;
mod security;
mod steps;
mod waking;
mod wrk;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use figure::Figure;

/// The server's allocator, so that measurements in process and their baselines use it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Dormouse beside its baselines, and prints the results beside the targets of the design.
#[derive(Parser)]
struct Arguments {
    /// Only these measurements.
    #[arg(long, value_enum)]
    only: Vec<Measurement>,
    /// How often each side is measured, alternately; the best of each counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Duration of each measurement, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections of the HTTP client.
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// Print a line of JSON per figure instead of a table.
    #[arg(long)]
    json: bool,
    /// Count the instructions of one command, step by step, with callgrind; measure nothing else.
    #[arg(long)]
    steps: bool,
    /// Run the echo server of the baselines.
    #[arg(long, hide = true)]
    echo: bool,
}

/// The measurements in the order in which they run: those that need a quiet machine most come first.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// Commands in process into a memory journal, beside bare ractor calls.
    InProcess,
    /// Durable commands in process into SQLite, without views, beside sqlx that writes the same rows.
    Durable,
    /// Durable commands over HTTP into SQLite, beside an axum server that echoes the same JSON.
    Sqlite,
    /// Durable commands in bulk, many per request, beside single ones.
    Bulk,
    /// Durable commands over HTTP into PostgreSQL, beside the echo.
    Postgres,
    /// Durable commands over HTTP into SQLite, beside appends to Redis streams with `appendfsync always`.
    Redis,
    /// Durable commands over HTTP into PostgreSQL, beside cqrs-es with postgres-es on the same database server.
    CqrsEs,
    /// Durable commands over HTTP to a single aggregate on SQLite.
    Hot,
    /// Wake-ups in process, from the SQLite journal and from the dormant tier.
    Waking,
    /// Memory of the server per live, idle aggregate.
    Footprint,
    /// Processor time of a server with live aggregates and nothing to do.
    Idle,
    /// Ten times the clients that a node can serve, and the time until a refusal.
    Overload,
    /// Events into views: live, and from the start of the log, beside sqlx alone writing the same documents.
    Projecting,
    /// Time from an event's commit until it is in the views, at half of the capacity; and the wait of a reader for its
    /// own command.
    Lag,
    /// Documents of a view over HTTP, from the cache and without it, beside an axum server that echoes JSON.
    Reading,
    /// Messages from one aggregate to another, durable on both sides, beside commands over HTTP.
    Messages,
    /// Jobs of a handler that does nothing.
    Jobs,
    /// Timers that are due at once, and how late others fire.
    Timers,
    /// Memory of a handler that is a million events behind.
    Backlog,
    /// Sites of the hosting module over HTTP: their creation, and the time until they are provisioned.
    Hosting,
    /// Durable commands over HTTP with tokens, and over encrypted connections, beside the same without.
    Security,
    /// Pages of a list of a million documents, beside SQL by hand.
    Lists,
}

impl Measurement {
    /// The name for `--only`.
    const fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Durable => "durable",
            Self::Sqlite => "sqlite",
            Self::Bulk => "bulk",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::CqrsEs => "cqrs-es",
            Self::Hot => "hot",
            Self::Waking => "waking",
            Self::Footprint => "footprint",
            Self::Idle => "idle",
            Self::Overload => "overload",
            Self::Projecting => "projecting",
            Self::Lag => "lag",
            Self::Reading => "reading",
            Self::Messages => "messages",
            Self::Jobs => "jobs",
            Self::Timers => "timers",
            Self::Backlog => "backlog",
            Self::Hosting => "hosting",
            Self::Security => "security",
            Self::Lists => "lists",
        }
    }

    fn run(self, arguments: &Arguments) -> Result<Vec<Figure>> {
        match self {
            Self::InProcess => in_process::measure(arguments),
            Self::Durable => in_process::durable(arguments).map(|figure| vec![figure]),
            Self::Sqlite => http::sqlite(arguments),
            Self::Bulk => http::bulk(arguments).map(|figure| vec![figure]),
            Self::Postgres => http::postgres(arguments),
            Self::Redis => http::redis(arguments).map(|figure| vec![figure]),
            Self::CqrsEs => http::cqrs_es(arguments).map(|figure| vec![figure]),
            Self::Hot => http::hot(arguments).map(|figure| vec![figure]),
            Self::Waking => waking::measure(arguments),
            Self::Footprint => footprint::measure(arguments).map(|figure| vec![figure]),
            Self::Idle => idle::measure(arguments).map(|figure| vec![figure]),
            Self::Overload => overload::measure(arguments),
            Self::Projecting => projecting::measure(arguments),
            Self::Lag => projecting::lag(arguments),
            Self::Reading => reading::by_key(arguments),
            Self::Messages => messaging::messages(arguments).map(|figure| vec![figure]),
            Self::Jobs => messaging::jobs(arguments).map(|figure| vec![figure]),
            Self::Timers => messaging::timers(arguments),
            Self::Backlog => messaging::backlog(arguments).map(|figure| vec![figure]),
            Self::Hosting => hosting::measure(arguments),
            Self::Security => security::measure(arguments),
            Self::Lists => reading::lists(),
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.echo {
        return echo::serve();
    }
    if arguments.steps {
        println!("{}", steps::measure()?);
        return Ok(());
    }
    if !arguments.json {
        println!("{}", Figure::HEADER);
    }
    for measurement in Measurement::value_variants() {
        if arguments.only.is_empty() || arguments.only.contains(measurement) {
            for figure in measurement.run(&arguments)? {
                println!("{}", if arguments.json { figure.to_json() } else { figure.to_string() });
            }
        }
    }
    Ok(())
}

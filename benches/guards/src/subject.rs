//! The operations that are counted: the steps of a command, each through the public interface of its crate.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use dormouse::{App, Config, JournalUrl, Running};
use dormouse_aggregates::commerce::{Inventory, InventoryCommand, Text};
use dormouse_engine::{Aggregates, CommandOptions};
use dormouse_journal::{Append, Journal, PageLimit, Submission};
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, NewEvent, Position, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The appends in one batch and the commands at once: as many as gather during a commit under load.
const BATCH: usize = 64;

/// An operation of the product that is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// A command that is decided, encoded and chained, and then dropped (a dry run): the command bus and the actor.
    Decide,
    /// An append in a batch of 64: the journal's writer, from submission to answer, on the memory store.
    Batch,
    /// A whole command in process into the memory store, 64 at once: the two above, and everything between them.
    Command,
    /// A dry run over HTTP: the work of `Decide`, and parsing the request and writing the answer.
    Http,
}

/// A subject with everything that it needs.
pub struct Prepared {
    // It stops serving when it is dropped.
    running: Running,
    work: Work,
}

enum Work {
    Decide(Aggregates<Inventory>),
    Batch(Journal, std::vec::IntoIter<Append>),
    Command(Aggregates<Inventory>),
    Http(TcpStream, Vec<u8>),
}

/// A part of a subject. It shows changes that are too small to show in the whole.
pub struct Part {
    /// The name in `instructions.toml`.
    pub name: &'static str,
    /// Parts of the names of its functions. Everything that they call counts too.
    pub functions: &'static [&'static str],
}

const DECIDE_AND_ENCODE: Part = Part { name: "decide-and-encode", functions: &["actor::decide_unwinding"] };

const BATCH_BUILDING: Part = Part {
    name: "batch-building",
    functions: &[
        "CommitBatch::gather",
        "CommitBatch::unknown",
        "CommitBatch::check_append",
        "CommitBatch::place",
        "CommitBatch::answer",
    ],
};

const HTTP_PARSING: Part = Part {
    name: "http-parsing",
    functions: &[
        "h1::role::Server as hyper::proto::h1::Http1Transaction>::parse",
        "command_headers::options",
        "decode::command",
    ],
};

impl Subject {
    /// The name in `instructions.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Batch => "batch",
            Self::Command => "command",
            Self::Http => "http",
        }
    }

    /// The parts that are counted separately.
    #[must_use]
    pub const fn parts(self) -> &'static [Part] {
        match self {
            Self::Decide => &[DECIDE_AND_ENCODE],
            Self::Batch => &[BATCH_BUILDING],
            Self::Command => &[],
            Self::Http => &[HTTP_PARSING],
        }
    }

    /// Prepares at most this many repetitions.
    ///
    /// # Errors
    /// If the application does not start.
    pub async fn prepare(self, times: usize) -> Result<Prepared> {
        let mut config = Config::embedded();
        config.journal.url = JournalUrl::Memory;
        config.gateway.listen = "127.0.0.1:0".parse()?;
        let running = App::new("guards").aggregate::<Inventory>().start(config).await?;
        let stocks = running.engine().aggregates::<Inventory>().context("inventory is not registered")?;
        for number in 0..BATCH {
            execute(&stocks, number, false).await?;
        }
        let work = match self {
            Self::Decide => Work::Decide(stocks),
            Self::Command => Work::Command(stocks),
            Self::Batch => {
                let journal = running.engine().journal().clone();
                let appends = appends(&journal, times).await?;
                Work::Batch(journal, appends.into_iter())
            }
            Self::Http => Work::Http(TcpStream::connect(running.address()).await?, request(&running)),
        };
        Ok(Prepared { running, work })
    }
}

impl Prepared {
    /// Runs this many repetitions.
    ///
    /// If one of them fails.
    pub async fn run(&mut self, times: usize) -> Result<()> {
        ensure!(self.running.address().port() > 0, "the application listens nowhere");
        match &mut self.work {
            Work::Decide(stocks) => {
                for number in 0..times {
                    execute(stocks, number, true).await?;
                }
                Ok(())
            }
            Work::Batch(journal, appends) => {
                for _ in 0..times.div_ceil(BATCH) {
                    append(journal, appends.take(BATCH)).await;
                }
                Ok(())
            }
            Work::Command(stocks) => commands(stocks, times).await,
            Work::Http(connection, request) => {
                for _ in 0..times {
                    connection.write_all(request).await?;
                    answer(connection).await?;
                }
                Ok(())
            }
        }
    }
}

async fn execute(stocks: &Aggregates<Inventory>, number: usize, dry_run: bool) -> Result<()> {
    let command = InventoryCommand::UpdateInventory { change: 1, reason: Text::new("benchmark")? };
    let options = CommandOptions { dry_run, ..CommandOptions::default() };
    stocks.execute(AggregateId::new(format!("sku-{}", number % BATCH))?, command, options).await?;
    Ok(())
}

async fn commands(stocks: &Aggregates<Inventory>, times: usize) -> Result<()> {
    let mut callers = JoinSet::new();
    for caller in 0..BATCH {
        let stocks = stocks.clone();
        callers.spawn(async move {
            for _ in 0..times / BATCH {
                execute(&stocks, caller, false).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}

/// Submits them, and waits for the answers.
async fn append(journal: &Journal, appends: impl Iterator<Item = Append>) {
    for append in appends {
        journal.submit(Submission::append(append, None, |outcome| assert!(outcome.is_ok(), "{outcome:?}"))).await;
    }
    journal.flush().await;
}

/// Appends of one event each, like those of the engine, to one aggregate after the other.
async fn appends(journal: &Journal, times: usize) -> Result<Vec<Append>> {
    let log = journal.read_log(Position::ZERO, PageLimit::ONE).await?;
    let event: Arc<NewEvent> = Arc::new(log.into_iter().next().context("the log is empty")?.event);
    let inventory = AggregateType::new("inventory")?;
    let append = |number: usize| {
        let id = AggregateId::new(format!("other-{}", number % BATCH))?;
        let expected = Version((number / BATCH) as u64);
        let aggregate = AggregateRef::new(inventory.clone(), id);
        Ok(Append { aggregate, expected, key: None, events: vec![NewEvent::clone(&event)] })
    };
    (0..times).map(append).collect()
}

/// A request of a client, with the usual headers.
fn request(running: &Running) -> Vec<u8> {
    let body = r#"{"change":1,"reason":"benchmark"}"#;
    let length = body.len();
    let head = [
        "POST /v1/inventory/sku-1/update-inventory?dry_run=true HTTP/1.1".to_owned(),
        format!("Host: {}", running.address()),
        "User-Agent: guards/1.0".to_owned(),
        "Accept: */*".to_owned(),
        "Content-Type: application/json".to_owned(),
        "Idempotency-Key: 01998c1e-5b7a-7c3e-9f43-7d1b6a2f0c11".to_owned(),
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        format!("Content-Length: {length}"),
    ];
    format!("{}\r\n\r\n{body}", head.join("\r\n")).into_bytes()
}

/// Reads one answer, which must be a success. The server writes a small answer at once.
async fn answer(connection: &mut TcpStream) -> Result<()> {
    let mut answer = [0; 4096];
    let length = connection.read(&mut answer).await?;
    ensure!(answer[..length].starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..length]));
    Ok(())
}

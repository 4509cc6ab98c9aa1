//! `events`: reads the journal, also while a server runs on it, and shows the event types of a server.

mod catalogue;

use clap::{Args, Subcommand};
use dormouse_config::{Config, JournalUrl};
use dormouse_journal::PageLimit;
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Chain, RecordedEvent, Version};

use super::failure::WrongArgument;
use super::{Settings, output, serve};
use crate::http::event_json;

/// Events that are read at once.
const PAGE: usize = 256;

/// Reads events from the journal, and lists the event types of a server
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(Show),
    Catalogue(catalogue::Arguments),
}

/// Prints the events of an aggregate, one JSON object a line
///
/// It only reads the journal, so a server may run on it meanwhile. If there is no event, the exit code is 1.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} events show order o-17
  {app} events show order o-17 --after 100 --limit 10
  {app} events show order o-17 | jq -r .type | sort | uniq -c")]
struct Show {
    #[command(flatten)]
    settings: Settings,
    /// The type of the aggregate, as in URLs.
    #[arg(value_name = "TYPE")]
    aggregate_type: String,
    /// The id of the aggregate.
    id: String,
    /// Only events with a higher version.
    #[arg(long, value_name = "VERSION", default_value_t = 0, hide_default_value = true)]
    after: u64,
    /// At most this many events [default: all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Show(arguments) => run_show(outer, arguments),
        Command::Catalogue(arguments) => catalogue::run(application, outer, arguments),
    }
}

fn run_show(outer: Settings, arguments: Show) -> anyhow::Result<()> {
    let Show { settings, aggregate_type, id, after, limit } = arguments;
    let config = outer.and(settings).load()?.config;
    let aggregate = aggregate_of(aggregate_type, id)?;
    serve::runtime()?.block_on(show(&config, &aggregate, Version(after), limit.unwrap_or(usize::MAX)))
}

/// The aggregate that two arguments name.
pub(super) fn aggregate_of(aggregate_type: String, id: String) -> Result<AggregateRef, WrongArgument> {
    let wrong = |error: dormouse_kernel::InvalidId| WrongArgument(error.to_string());
    Ok(AggregateRef::new(AggregateType::new(aggregate_type).map_err(wrong)?, AggregateId::new(id).map_err(wrong)?))
}

async fn show(config: &Config, aggregate: &AggregateRef, after: Version, limit: usize) -> anyhow::Result<()> {
    let print = async |event: RecordedEvent| Ok(output::line(event_json(&event))?);
    match read(config, aggregate, after, limit, print).await? {
        0 if after == Version::ZERO => anyhow::bail!("{aggregate} has no events"),
        0 if limit > 0 => anyhow::bail!("{aggregate} has no events after version {after}"),
        _ => Ok(()),
    }
}

/// Reads events beside a server, and checks that they are what was written. Returns how many there were.
pub(super) async fn read(
    config: &Config,
    aggregate: &AggregateRef,
    after: Version,
    limit: usize,
    mut visit: impl AsyncFnMut(RecordedEvent) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    if config.journal.url == JournalUrl::Memory {
        anyhow::bail!("journal.url is memory:, which only the server's own process can read");
    }
    let store = dormouse_journal::open_reader(config).await?;
    // The chain before the first event that is read is known only at the beginning of the history.
    let mut chain = (after == Version::ZERO).then_some(Chain::ROOT);
    let mut last = after;
    let mut seen = 0;
    while seen < limit {
        let events = store.read_aggregate(aggregate, last, PageLimit::events(PAGE.min(limit - seen))).await?;
        if events.is_empty() {
            break;
        }
        seen += events.len();
        for event in events {
            check(&event, last, chain)?;
            (last, chain) = (event.version, Some(event.event.chain));
            visit(event).await?;
        }
    }
    store.close().await;
    Ok(seen)
}

/// Refuses a history that is damaged.
fn check(event: &RecordedEvent, last: Version, chain: Option<Chain>) -> anyhow::Result<()> {
    let RecordedEvent { aggregate, version, position, .. } = event;
    anyhow::ensure!(*version == last.next(), "{aggregate} is damaged: after version {last} comes version {version}");
    anyhow::ensure!(
        chain.is_none_or(|chain| event.follows(chain)),
        "{aggregate} is damaged: version {version} (position {position}) is not what was written"
    );
    Ok(())
}

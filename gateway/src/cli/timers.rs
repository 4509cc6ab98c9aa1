//! `timers`: shows the timers of a running server.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Settings;
use super::output;
use super::projections::grouped;
use super::remote::Connection;
use super::table::Table;
use crate::admin::{Timer, TimerPage};

/// Shows the timers that aggregates have set
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} timers list
  {app} timers list --limit 1000 --json | jq -r '.[] | select(.aggregate == \"order/o-17\")'")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists timers, those that are due next first
    ///
    /// REPEATS is empty for a timer that is due once. SET AT is the version of the aggregate whose event set the timer.
    /// A timer that is due and is still listed is about to fire, or `timers` is paused (`listeners list`). One that has
    /// failed is a job of the listener `timers` (`failed list timers`).
    #[command(after_long_help = "\
Examples:
  {app} timers list
  {app} timers list --limit 1000
  {app} timers list --json | jq -r .[0].due")]
    List(List),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    connection: Connection,
    /// At most this many timers.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
    /// Print an array of objects instead.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    let Command::List(List { connection, limit, json }) = arguments.command;
    let remote = connection.remote(application, outer)?;
    let (mut timers, mut set, mut next) = (Vec::new(), 0, Some("/admin/timers".to_owned()));
    while let Some(path) = next.filter(|_| timers.len() < limit) {
        let page: TimerPage = serde_json::from_value(remote.get::<Value>(&path)?)?;
        timers.extend(page.timers);
        (set, next) = (page.set, page.next);
    }
    timers.truncate(limit);
    if json {
        return Ok(output::line(serde_json::to_string_pretty(&timers)?)?);
    }
    if timers.is_empty() {
        return Ok(output::line("no timer is set")?);
    }
    let more = set.saturating_sub(timers.len() as u64);
    output::text(&table_text(&timers))?;
    if more > 0 {
        output::line(format_args!("{} more: --limit shows them", grouped(more)))?;
    }
    Ok(())
}

fn table_text(timers: &[Timer]) -> String {
    let mut table = Table::headed(["DUE", "AGGREGATE", "NAME", "REPEATS", "SET AT#"]);
    for Timer { due, aggregate, name, repeats, set_at } in timers {
        let repeats = repeats.clone().unwrap_or_default();
        table.row([due.to_string(), aggregate.clone(), name.clone(), repeats, grouped(*set_at)]);
    }
    table.text()
}

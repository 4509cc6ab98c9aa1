//! `queues`: shows the queues of a running server.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Settings;
use super::output;
use super::projections::grouped;
use super::remote::{Connection, Remote};
use super::table::Table;
use crate::admin::{Queue, Queues};

/// Shows the queues: the workers that run the jobs of listeners
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} queues status
  {app} queues status --all")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows how many jobs wait in each queue, and how many workers it has
    ///
    /// DEPTH counts the jobs in memory that wait for a worker, or for an earlier job of their aggregate, and the events
    /// of the log that the listeners have not read yet. The number of workers follows the jobs in memory, between
    /// workers_min and workers_max of the queue (`config print`).
    #[command(after_long_help = "\
Examples:
  {app} queues status
  {app} queues status --all --json | jq '[.queues[].running] | add'")]
    Status(Status),
}

#[derive(Debug, Args)]
struct Status {
    #[command(flatten)]
    connection: Connection,
    /// Show queues that no listener uses, too.
    #[arg(long)]
    all: bool,
    /// Print the queues as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    let Command::Status(Status { connection, all, json }) = arguments.command;
    let found = find(&connection.remote(application, outer)?, all)?;
    if json {
        return Ok(output::line(serde_json::to_string_pretty(&found)?)?);
    }
    Ok(output::text(&table_text(&found.queues))?)
}

fn find(remote: &Remote, all: bool) -> anyhow::Result<Queues> {
    let response: Value = remote.get("/admin/queues")?;
    let mut found: Queues = serde_json::from_value(response)?;
    found.queues.retain(|queue| all || !queue.listeners.is_empty());
    Ok(found)
}

fn table_text(queues: &[Queue]) -> String {
    let mut table = Table::headed(["QUEUE", "DEPTH#", "WORKERS#", "RUNNING#", "LISTENERS"]);
    for Queue { name, depth, workers, running, listeners } in queues {
        let [depth, workers, running] = [*depth, *workers as u64, *running as u64].map(grouped);
        table.row([name.clone(), depth, workers, running, listeners.join(", ")]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_is_a_line_with_the_listeners_that_use_it() {
        let listeners = vec!["handler/one".to_owned(), "handler/other".to_owned()];
        let queue = Queue { name: "default".to_owned(), depth: 1234, workers: 8, running: 7, listeners };
        let expected = "QUEUE    DEPTH  WORKERS  RUNNING  LISTENERS\n\
                        default  1,234        8        7  handler/one, handler/other\n";
        assert_eq!(table_text(&[queue]), expected);
    }
}

//! `failed`: shows the failed jobs of a running server, and decides what becomes of them.

mod list;
mod release;
mod show;

use clap::{Args, Subcommand};

use super::Settings;
use super::remote::{Connection, segment};

/// Shows jobs that have failed, and retries, skips or flushes them
///
/// A job is what a listener does because of an event. If it fails, it is attempted again with growing pauses. After too
/// many attempts it is a dead letter: it waits for an operator, and the later jobs of its aggregate wait behind it
/// (except those of listeners that are independent). Jobs of other aggregates go on. Correct the cause, then `retry`;
/// `skip` and `flush` give up what the job had to do.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} failed list                            the dead letters of all listeners
  {app} failed show handler/receipt 1234       with every attempt's error, and the event
  {app} failed retry handler/receipt --all     after the cause is corrected
  {app} failed skip handler/receipt 1234       give one up: the jobs behind it go on")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Arguments),
    Show(show::Arguments),
    Retry(release::Retry),
    Skip(release::Skip),
    Flush(release::Flush),
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    let remote = |connection: Connection| connection.remote(application, outer);
    match arguments.command {
        Command::List(arguments) => {
            let list::Arguments { connection, listener, limit, json } = arguments;
            list::run(&remote(connection)?, listener.as_deref(), limit, json)
        }
        Command::Show(arguments) => {
            let show::Arguments { connection, listener, id, json } = arguments;
            show::run(&remote(connection)?, &listener, &id, json)
        }
        Command::Retry(arguments) => {
            let release::Retry { connection, listener, selection } = arguments;
            release::retry(&remote(connection)?, &listener, &selection)
        }
        Command::Skip(arguments) => {
            let release::Skip { connection, listener, ids } = arguments;
            release::skip(&remote(connection)?, &listener, &ids)
        }
        Command::Flush(arguments) => {
            let release::Flush { connection, selection, yes } = arguments;
            release::flush(&remote(connection)?, &selection, yes)
        }
    }
}

/// The address of a job.
fn path(listener: &str, id: &str) -> String {
    format!("/admin/failed/{}/{}", segment(listener), segment(id))
}

/// The address of the dead letters of a listener, or of all, or of an operation on them.
fn path_of_all(action: &str, listener: Option<&str>) -> String {
    let query = listener.map_or_else(String::new, |listener| format!("?listener={}", segment(listener)));
    format!("/admin/failed{action}{query}")
}

//! `listeners`: shows and switches the listeners of a running server.

mod control;
mod list;

use clap::{Args, Subcommand};

use super::Settings;
use super::remote::{Connection, Remote, RemoteError, segment};
use crate::admin::Listeners;

/// Shows and switches the listeners: what reacts to events, delivers messages, fires timers and acts outside
///
/// The command asks a running server. The names are `messages`, `timers`, `reactor/NAME` and `handler/NAME`. Each listener
/// follows the log and keeps its own place in it.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} listeners list
  {app} listeners pause handler/receipt      start no more jobs; the events wait in the log
  {app} listeners resume handler/receipt
  {app} listeners disable handler/receipt    pass over all events, without doing anything")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Arguments),
    Pause(control::Pause),
    Resume(control::Resume),
    Disable(control::Disable),
    Enable(control::Enable),
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    let remote = |connection: Connection| connection.remote(application, outer);
    match arguments.command {
        Command::List(arguments) => list::run(&remote(arguments.connection)?, arguments.json),
        Command::Pause(arguments) => control::each(&remote(arguments.connection)?, &arguments.names, "pause"),
        Command::Resume(arguments) => control::each(&remote(arguments.connection)?, &arguments.names, "resume"),
        Command::Disable(arguments) => control::each(&remote(arguments.connection)?, &arguments.names, "disable"),
        Command::Enable(arguments) => control::each(&remote(arguments.connection)?, &arguments.names, "enable"),
    }
}

/// All listeners, as they are now.
pub(super) fn overview(remote: &Remote) -> Result<Listeners, RemoteError> {
    remote.get("/admin/listeners")
}

fn path(name: &str) -> String {
    format!("/admin/listeners/{}", segment(name))
}

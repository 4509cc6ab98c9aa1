//! `projections`: shows and controls the projections of a running server.

mod control;
mod list;
mod parked;
mod rebuild;
mod tracker;

use std::collections::HashSet;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Settings;
use super::remote::{Connection, Remote, RemoteError, segment};
use crate::admin::{Overview, Projection};

/// Shows and controls the projections, which keep the views up to date
///
/// The command asks a running server. Views are derived from the journal: no operation on them loses an event.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections list
  {app} projections rebuild orders         build a view anew beside the one that is read, then replace it
  {app} projections pause --all
  {app} projections parked orders          events that could not be projected, with reasons
  {app} projections list --server http://10.0.0.7:8080")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Arguments),
    Pause(control::Pause),
    Resume(control::Resume),
    Rebuild(rebuild::Arguments),
    Reset(control::Reset),
    Drop(control::Drop),
    Parked(parked::Arguments),
    Retry(parked::Retry),
    Skip(parked::Skip),
}

/// The projections that a command is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Selection {
    /// Projections, by name.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All projections.
    #[arg(long)]
    all: bool,
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let remote = |connection: Connection| connection.remote(application, outer);
    match arguments.command {
        Command::List(arguments) => list::run(&remote(arguments.connection)?, arguments.json)?,
        Command::Pause(arguments) => control::pause(&remote(arguments.connection)?, &arguments.selection)?,
        Command::Resume(arguments) => control::resume(&remote(arguments.connection)?, &arguments.selection)?,
        Command::Rebuild(arguments) => {
            return rebuild::run(application, remote(arguments.connection)?, &arguments.selection, &arguments.options);
        }
        Command::Reset(arguments) => {
            control::reset(&remote(arguments.connection)?, &arguments.selection, arguments.to, arguments.yes)?;
        }
        Command::Drop(arguments) => control::drop(&remote(arguments.connection)?, &arguments.name, arguments.yes)?,
        Command::Parked(arguments) => {
            let parked::Arguments { connection, name, aggregate, json } = arguments;
            parked::run(&remote(connection)?, &name, aggregate.as_deref(), json)?;
        }
        Command::Retry(arguments) => {
            let parked::Retry { connection, name, selection, dry_run } = arguments;
            parked::release(&remote(connection)?, &name, &selection, parked::Action::Retry, dry_run)?;
        }
        Command::Skip(arguments) => {
            let parked::Skip { connection, name, selection, dry_run } = arguments;
            parked::release(&remote(connection)?, &name, &selection, parked::Action::Skip, dry_run)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Selection {
    /// The selected projections, each once, in their current state. An unknown name is an error before anything is
    /// done.
    fn find(&self, remote: &Remote) -> Result<Vec<Projection>, RemoteError> {
        if self.all {
            return Ok(overview(remote)?.projections);
        }
        let mut seen = HashSet::new();
        let names = self.names.iter().filter(|name| seen.insert(*name));
        names.map(|name| remote.get(&path(name))).collect()
    }
}

fn overview(remote: &Remote) -> Result<Overview, RemoteError> {
    remote.get("/admin/projections")
}

fn path(name: &str) -> String {
    format!("/admin/projections/{}", segment(name))
}

/// A number with groups of three digits: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_groups_of_three_digits() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (123_456, "123,456"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(number), expected);
        }
    }
}

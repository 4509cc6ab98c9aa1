//! `snapshots`: checks the snapshots of a running server.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use super::projections::grouped;
use super::remote::{Connection, Remote, RemoteError};
use super::{Settings, output};
use crate::admin::{DifferingSnapshots, SnapshottedType, VerifiedSnapshots};

/// Aggregates of a type that are checked without `--all`.
const SAMPLE_AGGREGATES: u64 = 100;

/// Checks the snapshots that aggregates wake from
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} snapshots verify
  {app} snapshots verify order --all
  {app} snapshots verify order o-17 --json")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compares snapshots with the states of their events
    ///
    /// A snapshot differs if the code has changed what events do to a state, and SNAPSHOT_VERSION was not raised:
    /// aggregates would wake with a wrong state. 100 aggregates of each type are checked, or all with --all. Nothing is
    /// changed.
    ///
    /// Exit codes: 0 no snapshot differs, 1 some do.
    #[command(after_long_help = "\
Examples:
  {app} snapshots verify
  {app} snapshots verify order --all
  {app} snapshots verify order o-17
  {app} snapshots verify --json | jq .[].differing")]
    Verify {
        #[command(flatten)]
        connection: Connection,
        /// Only this type.
        #[arg(value_name = "TYPE")]
        aggregate: Option<String>,
        /// Only this aggregate.
        #[arg(value_name = "ID")]
        id: Option<String>,
        /// All aggregates that have snapshots.
        #[arg(long)]
        all: bool,
        /// Print the result as an array with one object for each type.
        #[arg(long)]
        json: bool,
    },
}

/// The result for one type.
#[derive(Debug, Serialize)]
struct TypeReport {
    aggregate: String,
    aggregates: u64,
    snapshots: u64,
    unused: u64,
    differing: Vec<DifferingSnapshots>,
    /// Whether all aggregates of the type were checked.
    is_all: bool,
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Command::Verify { connection, aggregate, id, all, json } = arguments.command;
    let remote = connection.remote(application, outer)?;
    let types = types(&remote, aggregate)?;
    let due = |of: &SnapshottedType| match (&id, all) {
        (Some(_), _) => 1,
        (None, true) => of.aggregates,
        (None, false) => of.aggregates.min(SAMPLE_AGGREGATES),
    };
    let bar = bar(types.iter().map(due).sum());
    let mut found = Vec::new();
    for SnapshottedType { aggregate, .. } in types {
        found.push(verify(&remote, aggregate, id.as_deref(), all, &bar)?);
    }
    bar.finish_and_clear();
    match json {
        true => output::line(serde_json::to_string_pretty(&found)?)?,
        false => output::text(&report_text(application, &found))?,
    }
    let is_well = found.iter().all(|found| found.differing.is_empty());
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The aggregate types of the server, or the given one. The server itself refuses an unknown type.
fn types(remote: &Remote, only: Option<String>) -> Result<Vec<SnapshottedType>, RemoteError> {
    let types: Vec<SnapshottedType> = remote.get("/admin/snapshots")?;
    let Some(only) = only else { return Ok(types) };
    let known = types.into_iter().find(|of| of.aggregate == only);
    Ok(vec![known.unwrap_or(SnapshottedType { aggregate: only, aggregates: 0 })])
}

/// Shows how many of the aggregates were checked; hidden, if standard error is not a terminal.
fn bar(aggregates: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("[{bar:30}] {percent:>3} %  {pos} of {len} aggregates  {msg}");
    ProgressBar::new(aggregates).with_style(style.expect("the template is right, help shows it"))
}

fn verify(
    remote: &Remote,
    aggregate: String,
    id: Option<&str>,
    all: bool,
    bar: &ProgressBar,
) -> Result<TypeReport, RemoteError> {
    let (mut found, mut after) = (TypeReport::of(aggregate), None::<String>);
    loop {
        let asked = json!({ "aggregate": found.aggregate, "id": id, "after": after });
        let page: VerifiedSnapshots = remote.post("/admin/snapshots/verify", &asked)?;
        found.aggregates += page.aggregates;
        found.snapshots += page.snapshots;
        found.unused += page.unused;
        found.differing.extend(page.differing);
        bar.inc(page.aggregates);
        let TypeReport { aggregate, snapshots, differing, .. } = &found;
        bar.set_message(format!("{aggregate}: {} snapshots, {} differ", grouped(*snapshots), differing.len()));
        found.is_all = page.next.is_none() && id.is_none();
        after = page.next;
        if after.is_none() || !all && found.aggregates >= SAMPLE_AGGREGATES {
            return Ok(found);
        }
    }
}

impl TypeReport {
    fn of(aggregate: String) -> Self {
        Self { aggregate, aggregates: 0, snapshots: 0, unused: 0, differing: Vec::new(), is_all: false }
    }
}

fn report_text(application: &str, found: &[TypeReport]) -> String {
    let mut text = String::new();
    for TypeReport { aggregate, aggregates, snapshots, unused, differing, is_all } in found {
        let (aggregates, snapshots) = (grouped(*aggregates), grouped(*snapshots));
        let scope = if *is_all { ", all there are" } else { "" };
        let unused = match unused {
            0 => String::new(),
            _ => format!("; {} more are of another shape or version, and not used", grouped(*unused)),
        };
        text += &format!("{aggregate}: {snapshots} snapshots of {aggregates} aggregates{scope}: ");
        text += &match differing.len() {
            0 => format!("none differs from its events{unused}\n"),
            count => format!("those of {} aggregates differ from their events{unused}\n", grouped(count as u64)),
        };
        for DifferingSnapshots { id, versions } in differing {
            let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
            text += &format!("  {aggregate} {id}: at version {}\n", versions.join(", "));
        }
        if !differing.is_empty() {
            text += &format!(
                "  What to do: raise SNAPSHOT_VERSION of {aggregate} and deploy: its snapshots are not used any more, \
                 events decide.\n  Decisions that rested on such states are in the log: `{application} events show \
                 {aggregate} ID`.\n"
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_with_what_to_do() {
        let mut order = TypeReport {
            aggregates: 3,
            snapshots: 1_200,
            unused: 2,
            is_all: true,
            ..TypeReport::of("order".to_owned())
        };
        let well = report_text("shop", std::slice::from_ref(&order));
        assert_eq!(
            well,
            "order: 1,200 snapshots of 3 aggregates, all there are: none differs from its events; 2 more are of \
             another shape or version, and not used\n"
        );
        order.differing = vec![DifferingSnapshots { id: "o-1".to_owned(), versions: vec![50, 100] }];
        let ill = report_text("shop", &[order]);
        for part in
            ["those of 1 aggregates differ", "  order o-1: at version 50, 100\n", "raise SNAPSHOT_VERSION of order"]
        {
            assert!(ill.contains(part), "{ill}");
        }
    }
}

//! `projections parked`, `retry` and `skip`: events that could not be projected.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{grouped, path};
use crate::admin::{ParkedEvent, ParkedPage};
use crate::cli::failure::WrongArgument;
use crate::cli::output;
use crate::cli::remote::{Connection, Remote, RemoteError, segment};
use crate::cli::table::Table;

/// Shows the events that could not be projected, and the events that wait for them
///
/// An event that fails holds up only its aggregate: all later events of that aggregate wait outside the view, in order.
/// Correct the projection and `retry`, or `skip` the event that fails.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections parked orders                one line for each aggregate with parked events
  {app} projections parked orders order/o-17     its events, with their content in the journal
  {app} projections parked orders --json | jq -r '.[].reason' | sort | uniq -c")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// The projection.
    pub(super) name: String,
    /// Show each parked event of this aggregate: its type and id.
    #[arg(value_name = "TYPE/ID")]
    pub(super) aggregate: Option<String>,
    /// Print an array of objects instead.
    #[arg(long)]
    pub(super) json: bool,
}

/// Projects parked events again, in order
///
/// If one fails again, it and all later ones of its aggregate stay parked. A projection that is paused or has stopped
/// processes them as well, and keeps its state and position.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections retry orders order/o-17
  {app} projections retry orders --all --dry-run   show which would fail again
  {app} projections retry orders --all")]
pub(super) struct Retry {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// The projection.
    pub(super) name: String,
    #[command(flatten)]
    pub(super) selection: ParkedSelection,
    /// Report the result, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// The aggregates that a command is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct ParkedSelection {
    /// Aggregates, by type and id.
    #[arg(value_name = "TYPE/ID")]
    aggregates: Vec<String>,
    /// All aggregates with parked events.
    #[arg(long)]
    all: bool,
}

/// Skips the event that fails, and projects the events that wait for it
///
/// The view is then as if that event had never happened. A rebuild meets the event again. The event itself stays in the
/// journal.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections skip orders order/o-17
  {app} projections skip orders --all --dry-run   the first parked event of each aggregate")]
pub(super) struct Skip {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// The projection.
    pub(super) name: String,
    #[command(flatten)]
    pub(super) selection: ParkedSelection,
    /// Report the result, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// An aggregate with parked events, as one line.
#[derive(Serialize)]
struct ParkedAggregate {
    aggregate: String,
    id: String,
    /// The first parked event, which is the one that fails.
    version: u64,
    position: u64,
    reason: Option<String>,
    attempts: u32,
    /// The number of parked events, with the first.
    events: u64,
}

/// The result for one aggregate.
#[derive(Deserialize)]
struct ReleaseResult {
    aggregate: String,
    id: String,
    released: u64,
    still_parked: Option<ParkedEvent>,
}

impl ReleaseResult {
    fn describe(&self, name: &str) -> String {
        let Self { aggregate, id, released, still_parked } = self;
        let released = grouped(*released);
        match still_parked {
            None => {
                format!("{name}: {aggregate}/{id} is no longer parked, {released} of its events were added to the view")
            }
            Some(ParkedEvent { version, reason, .. }) => format!(
                "{name}: {aggregate}/{id} is still parked at version {version}, {released} of its events were added \
                 to the view: {}",
                reason.as_deref().unwrap_or_default()
            ),
        }
    }
}

pub(super) fn run(remote: &Remote, name: &str, aggregate: Option<&str>, json: bool) -> anyhow::Result<()> {
    match aggregate {
        Some(aggregate) => show(remote, name, aggregate, json),
        None => list(remote, name, json),
    }
}

/// The operation on aggregates with parked events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Retry,
    Skip,
}

/// Retries or skips events, one aggregate after the other, with a progress bar if there are many aggregates.
pub(super) fn release(
    remote: &Remote,
    name: &str,
    selection: &ParkedSelection,
    action: Action,
    dry_run: bool,
) -> anyhow::Result<()> {
    let waiting = selection.find(remote, name)?;
    if waiting.is_empty() {
        return Ok(output::line(format_args!("{name}: nothing is parked"))?);
    }
    let would = if dry_run { " (dry run: nothing was changed)" } else { "" };
    let bar = bar(waiting.len());
    let (mut still, mut gone) = (0, 0);
    for ParkedAggregate { aggregate, id, version, position, .. } in &waiting {
        let mut body = json!({ "aggregate": aggregate, "id": id, "dry_run": dry_run });
        let address = match action {
            Action::Retry => "retry",
            Action::Skip => {
                // The position names the event: if another operator skips it first, the next event is not skipped in
                // its place.
                body["position"] = (*position).into();
                "skip"
            }
        };
        bar.inc(1);
        let released: ReleaseResult = match remote.post(&format!("{}/{address}", path(name)), &body) {
            // Another operator has released the aggregate meanwhile.
            Err(error) if selection.all && error.is("not-parked") => {
                gone += 1;
                continue;
            }
            answered => answered?,
        };
        still += usize::from(released.still_parked.is_some());
        if selection.all && released.still_parked.is_none() {
            continue;
        }
        bar.suspend(|| {
            if action == Action::Skip {
                output::line(format_args!("{name}: skipped version {version} of {aggregate}/{id}{would}"))?;
            }
            output::line(format_args!("{}{would}", released.describe(name)))
        })?;
    }
    bar.finish_and_clear();
    let all = waiting.len() - gone;
    if selection.all {
        let (done, all) = (grouped((all - still) as u64), grouped(all as u64));
        output::line(format_args!("{name}: {done} of {all} aggregates are no longer parked{would}"))?;
    }
    match action {
        Action::Retry => anyhow::ensure!(still == 0, "{still} of {all} aggregates are still parked"),
        Action::Skip => {
            anyhow::ensure!(still == 0, "in {still} of {all} aggregates the next event cannot be projected either")
        }
    }
    Ok(())
}

/// A progress bar; hidden for a single aggregate, or if standard error is not a terminal.
fn bar(aggregates: usize) -> ProgressBar {
    if aggregates < 2 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("[{bar:30}] {percent:>3} %  {pos} of {len} aggregates");
    ProgressBar::new(aggregates as u64).with_style(style.expect("the template is right, a test shows it"))
}

impl ParkedSelection {
    /// The aggregates, each with its first parked event.
    fn find(&self, remote: &Remote, name: &str) -> anyhow::Result<Vec<ParkedAggregate>> {
        if self.all {
            return Ok(parked_aggregates(remote, name)?);
        }
        let mut found = Vec::new();
        for text in &self.aggregates {
            let (aggregate, id) = parts(text)?;
            let page: ParkedPage = remote.get(&format!("{}?limit=1", of_aggregate(name, &aggregate, &id)))?;
            let first = page.parked.into_iter().next();
            let first = first.ok_or_else(|| anyhow::anyhow!("no event of {text} is parked"))?;
            let ParkedEvent { version, position, reason, attempts, .. } = first;
            found.push(ParkedAggregate { aggregate, id, version, position, reason, attempts, events: 1 });
        }
        Ok(found)
    }
}

fn list(remote: &Remote, name: &str, json: bool) -> anyhow::Result<()> {
    let parked_aggregates = parked_aggregates(remote, name)?;
    if json {
        return Ok(output::line(serde_json::to_string_pretty(&parked_aggregates)?)?);
    }
    if parked_aggregates.is_empty() {
        return Ok(output::line(format_args!("{name}: nothing is parked"))?);
    }
    let mut table = Table::headed(["AGGREGATE", "VERSION#", "POSITION#", "WAITING#", "ATTEMPTS#", "REASON"]);
    for ParkedAggregate { aggregate, id, version, position, reason, attempts, events } in parked_aggregates {
        table.row([
            format!("{aggregate}/{id}"),
            version.to_string(),
            grouped(position),
            grouped(events),
            attempts.to_string(),
            reason.unwrap_or_default(),
        ]);
    }
    Ok(output::text(&table.text())?)
}

fn show(remote: &Remote, name: &str, aggregate: &str, json: bool) -> anyhow::Result<()> {
    let (aggregate_type, id) = parts(aggregate)?;
    let from = of_aggregate(name, &aggregate_type, &id);
    let mut events = Vec::new();
    each_parked(remote, from, |event| events.push(event))?;
    if json {
        return Ok(output::line(serde_json::to_string_pretty(&events)?)?);
    }
    for event in events {
        let ParkedEvent { version, position, reason, attempts, event, .. } = event;
        let why = reason.map_or_else(
            || "waits for an earlier event".to_owned(),
            |reason| format!("failed, tried {attempts} times: {reason}"),
        );
        output::line(format_args!("version {version} at position {}: {why}", grouped(position)))?;
        if let Some(event) = event {
            output::text(&indented(&serde_json::to_string_pretty(&event)?))?;
        }
    }
    Ok(())
}

/// The address of the parked events of an aggregate.
fn of_aggregate(name: &str, aggregate_type: &str, id: &str) -> String {
    format!("{}/parked/{}/{}", path(name), segment(aggregate_type), segment(id))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// The aggregates with parked events, in the order of the first event of each.
fn parked_aggregates(remote: &Remote, name: &str) -> Result<Vec<ParkedAggregate>, RemoteError> {
    let mut found: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut parked_aggregates: Vec<ParkedAggregate> = Vec::new();
    each_parked(remote, format!("{}/parked", path(name)), |event| {
        let ParkedEvent { aggregate, id, version, position, reason, attempts, .. } = event;
        let number = *found.entry((aggregate.clone(), id.clone())).or_insert_with(|| {
            parked_aggregates.push(ParkedAggregate { aggregate, id, version, position, reason, attempts, events: 0 });
            parked_aggregates.len() - 1
        });
        parked_aggregates[number].events += 1;
    })?;
    Ok(parked_aggregates)
}

/// Calls `take` for all parked events, page by page.
fn each_parked(remote: &Remote, from: String, mut take: impl FnMut(ParkedEvent)) -> Result<(), RemoteError> {
    let mut next = Some(from);
    while let Some(path) = next {
        let page: ParkedPage = remote.get(&path)?;
        page.parked.into_iter().for_each(&mut take);
        next = page.next;
    }
    Ok(())
}

/// Splits `order/o-17` into type and id.
fn parts(aggregate: &str) -> Result<(String, String), WrongArgument> {
    let parts = aggregate.split_once('/').filter(|(aggregate_type, id)| !aggregate_type.is_empty() && !id.is_empty());
    let (aggregate_type, id) = parts.ok_or_else(|| {
        WrongArgument(format!("{aggregate:?} is not an aggregate: write type/id, such as order/o-17"))
    })?;
    Ok((aggregate_type.to_owned(), id.to_owned()))
}

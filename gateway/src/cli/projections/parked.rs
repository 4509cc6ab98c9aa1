//! `projections parked`, `retry` and `skip`: what could not be projected, and what becomes of it.

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

/// Shows the events that could not be projected, and those that wait behind them
///
/// An event that fails holds up its aggregate, and nothing else: all later events of that aggregate wait outside the view,
/// in order. Mend the projection and `retry`, or `skip` the event that fails.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections parked orders                one line for each aggregate that waits
  {app} projections parked orders order/o-17     its events, as they are in the journal
  {app} projections parked orders --json | jq -r '.[].reason' | sort | uniq -c")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// The projection.
    pub(super) name: String,
    /// Of this aggregate, each event: its type and id.
    #[arg(value_name = "TYPE/ID")]
    pub(super) aggregate: Option<String>,
    /// Print an array of objects instead.
    #[arg(long)]
    pub(super) json: bool,
}

/// Projects the events that wait once more, in order
///
/// If one fails again, it and all behind it go on waiting. A projection that is paused, or has stopped, takes them in as well,
/// and stays where it is.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections retry orders order/o-17
  {app} projections retry orders --all --dry-run   which would fail again?
  {app} projections retry orders --all")]
pub(super) struct Retry {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// The projection.
    pub(super) name: String,
    #[command(flatten)]
    pub(super) which: Waiting,
    /// Say what would come of it, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Which aggregates.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Waiting {
    /// Aggregates, by type and id.
    #[arg(value_name = "TYPE/ID")]
    aggregates: Vec<String>,
    /// All that wait.
    #[arg(long)]
    all: bool,
}

/// Leaves out the event that fails, and projects those that wait behind it
///
/// The view is then what it would be had that event never happened; a rebuild meets with it again. The event itself stays
/// in the journal.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections skip orders order/o-17
  {app} projections skip orders --all --dry-run   the first event of each aggregate that waits")]
pub(super) struct Skip {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// The projection.
    pub(super) name: String,
    #[command(flatten)]
    pub(super) which: Waiting,
    /// Say what would come of it, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// An aggregate that waits, as one line.
#[derive(Serialize)]
struct Held {
    aggregate: String,
    id: String,
    /// The first event that waits, which is the one that fails.
    version: u64,
    position: u64,
    reason: Option<String>,
    attempts: u32,
    /// All that wait, with the first.
    events: u64,
}

/// What became of an aggregate that waited.
#[derive(Deserialize)]
struct Released {
    aggregate: String,
    id: String,
    released: u64,
    still_parked: Option<ParkedEvent>,
}

impl Released {
    fn told(&self, name: &str) -> String {
        let Self { aggregate, id, released, still_parked } = self;
        let released = grouped(*released);
        match still_parked {
            None => format!("{name}: {aggregate}/{id} is parked no longer, {released} events are in the view now"),
            Some(ParkedEvent { version, reason, .. }) => format!(
                "{name}: {aggregate}/{id} is still parked at version {version}, {released} events are in the view now: {}",
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

/// What is done to aggregates that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Retry,
    Skip,
}

/// Retries or skips events of aggregates that wait, one aggregate after the other, with a bar if they are many.
pub(super) fn release(
    remote: &Remote,
    name: &str,
    which: &Waiting,
    action: Action,
    dry_run: bool,
) -> anyhow::Result<()> {
    let waiting = which.find(remote, name)?;
    if waiting.is_empty() {
        return Ok(output::line(format_args!("{name}: nothing is parked"))?);
    }
    let would = if dry_run { " (dry run: nothing was changed)" } else { "" };
    let bar = bar(waiting.len());
    let (mut still, mut gone) = (0, 0);
    for Held { aggregate, id, version, position, .. } in &waiting {
        let mut order = json!({ "aggregate": aggregate, "id": id, "dry_run": dry_run });
        let address = match action {
            Action::Retry => "retry",
            Action::Skip => {
                // By its position: should somebody else skip it first, the next one is not skipped in its place.
                order["position"] = (*position).into();
                "skip"
            }
        };
        bar.inc(1);
        let released: Released = match remote.post(&format!("{}/{address}", path(name)), &order) {
            // Somebody else was faster.
            Err(error) if which.all && error.is("not-parked") => {
                gone += 1;
                continue;
            }
            answered => answered?,
        };
        still += usize::from(released.still_parked.is_some());
        if which.all && released.still_parked.is_none() {
            continue;
        }
        bar.suspend(|| {
            if action == Action::Skip {
                output::line(format_args!("{name}: skipped version {version} of {aggregate}/{id}{would}"))?;
            }
            output::line(format_args!("{}{would}", released.told(name)))
        })?;
    }
    bar.finish_and_clear();
    let all = waiting.len() - gone;
    if which.all {
        let (done, all) = (grouped((all - still) as u64), grouped(all as u64));
        output::line(format_args!("{name}: {done} of {all} aggregates are parked no longer{would}"))?;
    }
    match action {
        Action::Retry => anyhow::ensure!(still == 0, "{still} of {all} aggregates are still parked"),
        Action::Skip => anyhow::ensure!(still == 0, "of {still} of {all} aggregates another event cannot be projected"),
    }
    Ok(())
}

/// One that is drawn on a terminal, where there is more to do than a moment's work.
fn bar(aggregates: usize) -> ProgressBar {
    if aggregates < 2 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("[{bar:30}] {percent:>3} %  {pos} of {len} aggregates");
    ProgressBar::new(aggregates as u64).with_style(style.expect("the template is right, a test shows it"))
}

impl Waiting {
    /// The aggregates, each with the first event that waits.
    fn find(&self, remote: &Remote, name: &str) -> anyhow::Result<Vec<Held>> {
        if self.all {
            return Ok(held(remote, name)?);
        }
        let mut found = Vec::new();
        for text in &self.aggregates {
            let (aggregate, id) = parts(text)?;
            let page: ParkedPage = remote.get(&format!("{}?limit=1", of_aggregate(name, &aggregate, &id)))?;
            let first = page.parked.into_iter().next();
            let first = first.ok_or_else(|| anyhow::anyhow!("no event of {text} is parked"))?;
            let ParkedEvent { version, position, reason, attempts, .. } = first;
            found.push(Held { aggregate, id, version, position, reason, attempts, events: 1 });
        }
        Ok(found)
    }
}

fn list(remote: &Remote, name: &str, json: bool) -> anyhow::Result<()> {
    let held = held(remote, name)?;
    if json {
        return Ok(output::line(serde_json::to_string_pretty(&held)?)?);
    }
    if held.is_empty() {
        return Ok(output::line(format_args!("{name}: nothing is parked"))?);
    }
    let mut table = Table::headed(["AGGREGATE", "VERSION#", "POSITION#", "WAITING#", "ATTEMPTS#", "REASON"]);
    for Held { aggregate, id, version, position, reason, attempts, events } in held {
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
            || "waits behind an earlier one".to_owned(),
            |reason| format!("failed, tried {attempts} times: {reason}"),
        );
        output::line(format_args!("version {version} at position {}: {why}", grouped(position)))?;
        if let Some(event) = event {
            output::text(&indented(&serde_json::to_string_pretty(&event)?))?;
        }
    }
    Ok(())
}

/// The address of what is parked of an aggregate.
fn of_aggregate(name: &str, aggregate_type: &str, id: &str) -> String {
    format!("{}/parked/{}/{}", path(name), segment(aggregate_type), segment(id))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// The aggregates that wait, each as its first event tells it, in the order of these events.
fn held(remote: &Remote, name: &str) -> Result<Vec<Held>, RemoteError> {
    let mut found: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut held: Vec<Held> = Vec::new();
    each_parked(remote, format!("{}/parked", path(name)), |event| {
        let ParkedEvent { aggregate, id, version, position, reason, attempts, .. } = event;
        let number = *found.entry((aggregate.clone(), id.clone())).or_insert_with(|| {
            held.push(Held { aggregate, id, version, position, reason, attempts, events: 0 });
            held.len() - 1
        });
        held[number].events += 1;
    })?;
    Ok(held)
}

/// All events that wait, page by page.
fn each_parked(remote: &Remote, from: String, mut take: impl FnMut(ParkedEvent)) -> Result<(), RemoteError> {
    let mut next = Some(from);
    while let Some(path) = next {
        let page: ParkedPage = remote.get(&path)?;
        page.parked.into_iter().for_each(&mut take);
        next = page.next;
    }
    Ok(())
}

/// `order/o-17` as type and id.
fn parts(aggregate: &str) -> Result<(String, String), WrongArgument> {
    let parts = aggregate.split_once('/').filter(|(aggregate_type, id)| !aggregate_type.is_empty() && !id.is_empty());
    let (aggregate_type, id) = parts
        .ok_or_else(|| WrongArgument(format!("{aggregate:?} is no aggregate: say type/id, such as order/o-17")))?;
    Ok((aggregate_type.to_owned(), id.to_owned()))
}

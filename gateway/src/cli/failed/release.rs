//! `failed retry`, `skip` and `flush`: what becomes of failed jobs.

use std::io::{self, IsTerminal};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{path, path_of_all};
use crate::admin::{FailedPage, Released};
use crate::cli::projections::grouped;
use crate::cli::remote::{Connection, Remote, RemoteError};
use crate::cli::{confirm, output};

/// Attempts dead letters again, in order, each with all of its tries
///
/// The command returns when they wait for their next attempt. Those that fail too often again are dead letters again.
/// Jobs that wait behind a dead letter follow it.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} failed retry handler/receipt 1234
  {app} failed retry handler/receipt --all")]
pub(super) struct Retry {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// The listener.
    pub(super) listener: String,
    #[command(flatten)]
    pub(super) selection: JobSelection,
}

/// The dead letters of a listener that a command is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct JobSelection {
    /// Dead letters, by id.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All dead letters of the listener.
    #[arg(long)]
    all: bool,
}

/// Gives failed jobs up: what they had to do is never done, and the jobs behind them go on
///
/// The event stays in the log.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} failed skip handler/receipt 1234")]
pub(super) struct Skip {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// The listener.
    pub(super) listener: String,
    /// Jobs, by id.
    #[arg(value_name = "ID", required = true)]
    pub(super) ids: Vec<String>,
}

/// Gives all dead letters of a listener up, or those of all listeners
///
/// What they had to do is never done. Jobs that wait behind them go on. The events stay in the log.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} failed flush handler/receipt
  {app} failed flush --all --yes")]
pub(super) struct Flush {
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(flatten)]
    pub(super) selection: ListenerSelection,
    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
}

/// The listeners whose dead letters are given up.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct ListenerSelection {
    /// The listener.
    listener: Option<String>,
    /// All listeners.
    #[arg(long)]
    all: bool,
}

pub(super) fn retry(remote: &Remote, listener: &str, selection: &JobSelection) -> anyhow::Result<()> {
    if !selection.all {
        return each(remote, listener, &selection.ids, "retry", "is attempted again");
    }
    let done = release(remote, "/retry", Some(listener), dead(remote, Some(listener))?)?;
    Ok(output::line(format_args!("{listener}: {} dead letters are attempted again", grouped(done)))?)
}

pub(super) fn skip(remote: &Remote, listener: &str, ids: &[String]) -> anyhow::Result<()> {
    each(remote, listener, ids, "skip", "was skipped")
}

pub(super) fn flush(remote: &Remote, selection: &ListenerSelection, is_agreed: bool) -> anyhow::Result<()> {
    let listener = selection.listener.as_deref();
    let whose = listener.unwrap_or("all listeners");
    let dead = dead(remote, listener)?;
    if dead > 0 {
        let what = format!("{} dead letters of {whose} are given up, what they had to do is never done", grouped(dead));
        confirm::require(is_agreed, &what)?;
    }
    let done = release(remote, "/flush", listener, dead)?;
    Ok(output::line(format_args!("{whose}: {} dead letters were given up", grouped(done)))?)
}

/// Carries out the operation on each job.
fn each(remote: &Remote, listener: &str, ids: &[String], action: &str, result: &str) -> anyhow::Result<()> {
    for id in ids {
        let _done: Value = remote.post(&format!("{}/{action}", path(listener, id)), &json!({}))?;
        output::line(format_args!("{listener}: {id} {result}"))?;
    }
    Ok(())
}

/// How many dead letters there are.
fn dead(remote: &Remote, listener: Option<&str>) -> Result<u64, RemoteError> {
    let page: FailedPage = remote.get(&path_of_all("", listener))?;
    Ok(page.dead)
}

/// Carries out the operation on the dead letters page by page, with a progress bar. Those that are made meanwhile are
/// left alone as far as possible: the command ends after as many as there were at first. Returns how many it were.
fn release(remote: &Remote, action: &str, listener: Option<&str>, dead: u64) -> anyhow::Result<u64> {
    let bar = bar(dead);
    let mut next = Some(path_of_all(action, listener)).filter(|_| dead > 0);
    let mut done = 0;
    while let Some(path) = next.filter(|_| done < dead) {
        let released: Released = remote.post(&path, &json!({}))?;
        done += released.done as u64;
        bar.set_position(done.min(dead));
        next = released.next;
    }
    bar.finish_and_clear();
    Ok(done)
}

/// A progress bar; hidden if one request is enough, or if standard error is not a terminal.
fn bar(dead: u64) -> ProgressBar {
    if dead <= 500 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("[{bar:30}] {percent:>3} %  {pos} of {len} dead letters");
    ProgressBar::new(dead).with_style(style.expect("the template is right, a test shows it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_of_the_bar_is_right() {
        assert!(ProgressStyle::with_template("[{bar:30}] {percent:>3} %  {pos} of {len} dead letters").is_ok());
    }
}

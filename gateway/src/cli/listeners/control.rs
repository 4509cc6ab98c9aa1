//! `listeners pause`, `resume`, `disable` and `enable`.

use clap::Args;
use serde_json::json;

use super::{overview, path};
use crate::admin::Listener;
use crate::cli::failure::WrongArgument;
use crate::cli::output;
use crate::cli::projections::grouped;
use crate::cli::remote::{Connection, Remote};

/// Pauses listeners, also over a restart, until they are resumed
///
/// A paused listener starts no more jobs and keeps its place. The events wait in the log: none is lost. Jobs that run
/// are finished.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} listeners pause handler/receipt
  {app} listeners pause timers                 no timer fires until they are resumed
  {app} config set 'listeners.paused=[\"handler/receipt\"]'   the same until the server ends")]
pub(super) struct Pause {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Listeners, by name.
    #[arg(value_name = "NAME", required = true)]
    pub(super) names: Vec<String>,
}

/// Resumes listeners that were paused: they go on where they were
///
/// A listener that the configuration pauses (listeners.paused) stays paused: change the configuration.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} listeners resume handler/receipt")]
pub(super) struct Resume {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Listeners, by name.
    #[arg(value_name = "NAME", required = true)]
    pub(super) names: Vec<String>,
}

/// Disables listeners, also over a restart, until they are enabled
///
/// A disabled listener passes over all events without doing anything: what it would have done for them is never done,
/// also not after it is enabled. To do it later, `pause` it. Failed jobs stay as they are.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} listeners disable handler/receipt")]
pub(super) struct Disable {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Listeners, by name.
    #[arg(value_name = "NAME", required = true)]
    pub(super) names: Vec<String>,
}

/// Enables listeners that were disabled: they go on with the next event
///
/// A listener that the configuration disables (listeners.disabled) stays disabled: change the configuration.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} listeners enable handler/receipt")]
pub(super) struct Enable {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Listeners, by name.
    #[arg(value_name = "NAME", required = true)]
    pub(super) names: Vec<String>,
}

/// Carries out the operation on each listener, and prints its new state. An unknown name is an error before anything is
/// done.
pub(super) fn each(remote: &Remote, names: &[String], action: &str) -> anyhow::Result<()> {
    let known: Vec<String> = overview(remote)?.listeners.into_iter().map(|listener| listener.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(WrongArgument(format!("there is no listener {unknown:?}; known: {}", known.join(", "))).into());
    }
    for name in names {
        let after: Listener = remote.post(&format!("{}/{action}", path(name)), &json!({}))?;
        output::line(format_args!("{name}: {} at position {}", after.state, grouped(after.position)))?;
    }
    Ok(())
}

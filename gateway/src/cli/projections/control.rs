//! `projections pause`, `resume`, `reset` and `drop`.

use clap::Args;
use serde_json::{Value, json};

use super::{Selection, path};
use crate::admin::Projection;
use crate::cli::remote::{Connection, Remote};
use crate::cli::{confirm, output};

/// Pauses projections, also over a restart, until they are resumed
///
/// Their views can still be read, but get older. The events wait in the journal.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections pause orders daily-sales
  {app} projections pause --all")]
pub(super) struct Pause {
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(flatten)]
    pub(super) selection: Selection,
}

/// Resumes projections that were paused, or that have stopped because they failed
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections resume orders
  {app} projections resume --all")]
pub(super) struct Resume {
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(flatten)]
    pub(super) selection: Selection,
}

/// Deletes the documents of views, and builds them from a position on
///
/// Readers see the view grow again. To build it without readers noticing, `rebuild` it. With another position than 0
/// the view lacks what happened before: this is for projections that need recent events only.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections reset orders --to 0
  {app} projections reset --all --to 0 --yes
  {app} projections reset activity --to 1200000 --yes     only the events after that one")]
pub(super) struct Reset {
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(flatten)]
    pub(super) selection: Selection,
    /// The last event that is left out; 0 leaves none out.
    #[arg(long, value_name = "POSITION")]
    pub(super) to: u64,
    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
}

/// Drops a view with all of its documents
///
/// If the application has its projection, the view is built again when the projection is resumed or the server starts.
/// A view whose projection was removed (`projections list` names it) is lost for good.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections drop old-orders
  {app} projections drop old-orders --yes")]
pub(super) struct Drop {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// The view.
    pub(super) name: String,
    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
}

pub(super) fn pause(remote: &Remote, selection: &Selection) -> anyhow::Result<()> {
    each(remote, selection, "pause", &json!({}))
}

pub(super) fn resume(remote: &Remote, selection: &Selection) -> anyhow::Result<()> {
    each(remote, selection, "resume", &json!({}))
}

pub(super) fn reset(remote: &Remote, selection: &Selection, to: u64, is_agreed: bool) -> anyhow::Result<()> {
    let names: Vec<String> = selection.find(remote)?.into_iter().map(|projection| projection.name).collect();
    let names = names.join(", ");
    let what = match to {
        0 => format!("the documents of {names} are deleted and built anew"),
        _ => format!(
            "the documents of {names} are deleted and built from the events after position {to} alone: values that \
             add up over an aggregate's life, or documents that were created before, are then wrong or missing until \
             a rebuild (`projections rebuild` builds them completely without a reset)"
        ),
    };
    confirm::require(is_agreed, &what)?;
    each(remote, selection, "reset", &json!({ "to": to }))
}

pub(super) fn drop(remote: &Remote, name: &str, is_agreed: bool) -> anyhow::Result<()> {
    confirm::require(is_agreed, &format!("the view {name} is dropped with all of its documents"))?;
    let _dropped: Value = remote.delete(&path(name))?;
    Ok(output::line(format_args!("{name}: dropped"))?)
}

/// Carries out the operation on each projection, and prints its new state.
fn each(remote: &Remote, selection: &Selection, action: &str, body: &Value) -> anyhow::Result<()> {
    for projection in selection.find(remote)? {
        match remote.post::<Projection>(&format!("{}/{action}", path(&projection.name)), body) {
            Ok(after) => output::line(format_args!("{}: {} at position {}", after.name, after.state, after.position))?,
            // The projection is already in the wanted state.
            Err(error) if error.is("already-paused") || error.is("not-paused") => {
                output::line(format_args!("{}: {error}", projection.name))?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

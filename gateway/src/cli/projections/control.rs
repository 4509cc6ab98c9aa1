//! `projections pause`, `resume`, `reset` and `drop`.

use clap::Args;
use serde_json::{Value, json};

use super::{Which, path};
use crate::admin::Projection;
use crate::cli::remote::{Connection, Remote};
use crate::cli::{confirm, output};

/// Lets projections stay where they are, also over a restart, until they are resumed
///
/// Their views are read on, and get older. Events wait for them in the journal.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections pause orders daily-sales
  {app} projections pause --all")]
pub(super) struct Pause {
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(flatten)]
    pub(super) which: Which,
}

/// Lets projections go on: those that were paused, and those that had stopped because they failed
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections resume orders
  {app} projections resume --all")]
pub(super) struct Resume {
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(flatten)]
    pub(super) which: Which,
}

/// Throws the documents of views away, and has them made anew from a position on
///
/// Readers see the view grow again. To make one anew without anybody noticing, `rebuild` it. From another position than 0
/// the view lacks what happened before: for projections that look at recent events only.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections reset orders --to 0
  {app} projections reset --all --to 0 --yes
  {app} projections reset activity --to 1200000 --yes     only what came after that event")]
pub(super) struct Reset {
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(flatten)]
    pub(super) which: Which,
    /// The last event that is left out; 0 leaves none out.
    #[arg(long, value_name = "POSITION")]
    pub(super) to: u64,
    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
}

/// Throws a view away, with all there is of it
///
/// Of a projection that the application has, it is made anew when it is resumed, or the server starts again. A view whose
/// projection is gone (`projections list` names it) is gone for good.
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

pub(super) fn pause(remote: &Remote, which: &Which) -> anyhow::Result<()> {
    each(remote, which, "pause", &json!({}))
}

pub(super) fn resume(remote: &Remote, which: &Which) -> anyhow::Result<()> {
    each(remote, which, "resume", &json!({}))
}

pub(super) fn reset(remote: &Remote, which: &Which, to: u64, is_agreed: bool) -> anyhow::Result<()> {
    let names: Vec<String> = which.find(remote)?.into_iter().map(|projection| projection.name).collect();
    let names = names.join(", ");
    let what = match to {
        0 => format!("the documents of {names} go, and are made anew"),
        _ => format!(
            "the documents of {names} go, and are made of the events after position {to} alone: whatever adds up over an \
             aggregate's life, or was created before, is then wrong or missing, until a rebuild (`projections rebuild` makes \
             them whole without this)"
        ),
    };
    confirm::confirmed(is_agreed, &what)?;
    each(remote, which, "reset", &json!({ "to": to }))
}

pub(super) fn drop(remote: &Remote, name: &str, is_agreed: bool) -> anyhow::Result<()> {
    confirm::confirmed(is_agreed, &format!("the view {name} goes, with all there is of it"))?;
    let _dropped: Value = remote.delete(&path(name))?;
    Ok(output::line(format_args!("{name}: dropped"))?)
}

/// Does it to each of them, and says how each is then.
fn each(remote: &Remote, which: &Which, action: &str, body: &Value) -> anyhow::Result<()> {
    for projection in which.find(remote)? {
        match remote.post::<Projection>(&format!("{}/{action}", path(&projection.name)), body) {
            Ok(after) => output::line(format_args!("{}: {} at position {}", after.name, after.state, after.position))?,
            // It is what was wanted.
            Err(error) if error.is("already-paused") || error.is("not-paused") => {
                output::line(format_args!("{}: {error}", projection.name))?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

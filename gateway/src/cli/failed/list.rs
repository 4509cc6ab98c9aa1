//! `failed list`: dead letters, one a line.

use clap::Args;

use super::path_of_all;
use crate::admin::{FailedJob, FailedPage};
use crate::cli::output;
use crate::cli::projections::grouped;
use crate::cli::remote::{Connection, Remote, RemoteError};
use crate::cli::table::Table;

/// Lists the dead letters of a listener, or of all: jobs that have failed too often
///
/// ID is the position of the event; for timers it has a part behind a dot. Later jobs of the same SEQUENCE wait behind
/// it. The list is by listener, and the oldest of each comes first.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} failed list
  {app} failed list handler/receipt --limit 1000
  {app} failed list --json | jq -r '.[].error' | sort | uniq -c")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Only this listener.
    pub(super) listener: Option<String>,
    /// At most this many dead letters.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(super) limit: usize,
    /// Print an array of objects instead.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(remote: &Remote, listener: Option<&str>, limit: usize, json: bool) -> anyhow::Result<()> {
    let (failed, dead) = find(remote, listener, limit)?;
    if json {
        return Ok(output::line(serde_json::to_string_pretty(&failed)?)?);
    }
    if dead == 0 {
        return Ok(output::line("there are no dead letters")?);
    }
    output::text(&table_text(&failed))?;
    let more = dead.saturating_sub(failed.len() as u64);
    if more > 0 {
        output::line(format_args!("{} more: --limit shows them", grouped(more)))?;
    }
    Ok(())
}

/// Up to `limit` dead letters, and how many there are.
fn find(remote: &Remote, listener: Option<&str>, limit: usize) -> Result<(Vec<FailedJob>, u64), RemoteError> {
    let (mut failed, mut dead, mut next) = (Vec::new(), 0, Some(path_of_all("", listener)));
    while let Some(path) = next.filter(|_| failed.len() < limit) {
        let page: FailedPage = remote.get(&path)?;
        failed.extend(page.failed);
        (dead, next) = (page.dead, page.next);
    }
    failed.truncate(limit);
    Ok((failed, dead))
}

fn table_text(failed: &[FailedJob]) -> String {
    let mut table =
        Table::headed(["LISTENER", "ID#", "SEQUENCE", "VERSION#", "EVENT", "ATTEMPTS#", "FAILED AT", "ERROR"]);
    for FailedJob { listener, id, sequence, version, event, attempts, failed_at, error, .. } in failed {
        table.row([
            listener.clone(),
            id.clone(),
            sequence.clone(),
            version.to_string(),
            event.clone(),
            attempts.to_string(),
            failed_at.map(|at| at.to_string()).unwrap_or_default(),
            error.clone().unwrap_or_default(),
        ]);
    }
    table.text()
}

//! `projections list`: all projections, one a line.

use clap::Args;
use serde_json::Value;

use super::grouped;
use super::tracker::estimate;
use crate::admin::{Overview, Projection};
use crate::cli::output;
use crate::cli::remote::{Connection, Remote};
use crate::cli::table::Table;

/// Shows the position and the state of each projection
///
/// LAG counts the events that are not in the view yet, PARKED the aggregates whose events could not be projected.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections list
  {app} projections list --json | jq -r '.projections[] | select(.lag > 1000) | .name'")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Print the server's response.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(remote: &Remote, json: bool) -> anyhow::Result<()> {
    let response: Value = remote.get("/admin/projections")?;
    if json {
        output::line(serde_json::to_string_pretty(&response)?)?;
    } else {
        output::text(&table_text(&serde_json::from_value(response)?))?;
    }
    Ok(())
}

fn table_text(overview: &Overview) -> String {
    let mut table = Table::headed(["NAME", "STATE", "VERSION#", "POSITION#", "LAG#", "PARKED#", "REBUILD", "REASON"]);
    for projection in &overview.projections {
        let Projection { name, state, reason, version, position, lag, begun_after, parked, rebuild, .. } = projection;
        let why = reason.clone().or_else(|| rebuild.as_ref()?.reason.clone()).or_else(|| {
            (*begun_after > 0).then(|| format!("partial: lacks the events up to {}, rebuild it", grouped(*begun_after)))
        });
        table.row([
            name.clone(),
            state.clone(),
            version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
            grouped(*position),
            grouped(*lag),
            parked.to_string(),
            rebuild.as_ref().map(estimate).unwrap_or_default(),
            why.unwrap_or_default(),
        ]);
    }
    let orphans: String = match &overview.orphans {
        Some(orphans) => orphans
            .iter()
            .map(|name| format!("the projection of the view {name} was removed: drop the view, or keep it\n"))
            .collect(),
        None => "the views do not answer: other views may exist\n".to_owned(),
    };
    format!("{}{orphans}", table.text())
}

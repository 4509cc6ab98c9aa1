//! `events catalogue`: the event types of a server that runs.

use clap::Args;

use crate::admin::{Catalogue, CatalogueEvent, Consumer};
use crate::cli::Settings;
use crate::cli::output;
use crate::cli::remote::{Connection, Remote, segment};
use crate::cli::table::Table;

/// Lists every event type, with its version and the projections, reactors and handlers that read it
///
/// FORMER NAMES are names that stored events may still have: code has renamed these events since. With --json, each
/// event has its JSON Schema as well.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} events catalogue
  {app} events catalogue order
  {app} events catalogue --json | jq '.events[] | select(.consumers == [])'   events that nothing reads")]
pub(super) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// Only this aggregate type.
    #[arg(value_name = "TYPE")]
    aggregate_type: Option<String>,
    /// Print the server's response.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { connection, aggregate_type, json } = arguments;
    let catalogue = find(&connection.remote(application, outer)?, aggregate_type.as_deref())?;
    if json {
        return Ok(output::line(serde_json::to_string_pretty(&catalogue)?)?);
    }
    Ok(output::text(&table_text(&catalogue.events))?)
}

fn find(remote: &Remote, only: Option<&str>) -> anyhow::Result<Catalogue> {
    let query = only.map_or_else(String::new, |only| format!("?type={}", segment(only)));
    Ok(remote.get(&format!("/admin/catalogue{query}"))?)
}

fn table_text(events: &[CatalogueEvent]) -> String {
    let mut table = Table::headed(["TYPE", "EVENT", "VERSION#", "FORMER NAMES", "READ BY"]);
    for CatalogueEvent { aggregate, event, schema_version, former_names, consumers, .. } in events {
        let readers: Vec<&str> = consumers.iter().map(|Consumer { name, .. }| name.as_str()).collect();
        table.row([
            aggregate.clone(),
            event.clone(),
            schema_version.to_string(),
            former_names.join(", "),
            readers.join(", "),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_event_is_a_line_with_its_former_names_and_readers() {
        let event = CatalogueEvent {
            aggregate: "cart".to_owned(),
            event: "ItemAdded".to_owned(),
            schema_version: 2,
            former_names: vec!["LineAdded".to_owned()],
            schema: Value::Null,
            consumers: vec![Consumer::projection("carts"), Consumer::projection("owners")],
        };
        let expected = "TYPE  EVENT      VERSION  FORMER NAMES  READ BY\n\
                        cart  ItemAdded        2  LineAdded     carts, owners\n";
        assert_eq!(table_text(&[event]), expected);
    }
}

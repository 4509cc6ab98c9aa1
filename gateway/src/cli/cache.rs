//! `cache`: shows and clears the cache of views of a running server.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::projections::grouped;
use super::remote::{Connection, Remote};
use super::table::Table;
use super::{Settings, output};

/// Shows and clears the cache of views of a running server
///
/// A cached result is never older than the view, so there is no need to clear the cache for fresh results.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} cache stats --detailed
  {app} cache clear orders
  {app} config set cache.size=\"1 GiB\"")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows how much the cache holds, and how often it could answer
    ///
    /// HITS are reads that the cache could answer, MISSES those that it could not, since the server started.
    #[command(after_long_help = "\
Examples:
  {app} cache stats
  {app} cache stats --detailed
  {app} cache stats --json | jq .total.bytes")]
    Stats {
        #[command(flatten)]
        connection: Connection,
        /// Show each view by itself.
        #[arg(long)]
        detailed: bool,
        /// Print the server's response.
        #[arg(long)]
        json: bool,
    },
    /// Clears the cache of some views, or of all
    #[command(after_long_help = "\
Examples:
  {app} cache clear
  {app} cache clear orders daily-sales")]
    Clear {
        #[command(flatten)]
        connection: Connection,
        /// Only these views.
        #[arg(value_name = "VIEW")]
        views: Vec<String>,
    },
}

#[derive(Deserialize)]
struct Stats {
    options: Options,
    total: Usage,
    #[serde(default)]
    views: BTreeMap<String, Usage>,
}

#[derive(Deserialize)]
struct Options {
    enabled: bool,
    ttl: String,
    entries: u64,
    size: String,
}

#[derive(Deserialize)]
struct Usage {
    hits: u64,
    misses: u64,
    entries: u64,
    bytes: u64,
    evictions: Evictions,
}

#[derive(Deserialize)]
struct Evictions {
    size: u64,
    expired: u64,
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Stats { connection, detailed, json } => stats(&connection.remote(application, outer)?, detailed, json),
        Command::Clear { connection, views } => clear(&connection.remote(application, outer)?, &views),
    }
}

fn stats(remote: &Remote, is_detailed: bool, json: bool) -> anyhow::Result<()> {
    let response: Value = remote.get(&format!("/admin/cache?detailed={is_detailed}"))?;
    if json {
        return Ok(output::line(serde_json::to_string_pretty(&response)?)?);
    }
    Ok(output::text(&table_text(&serde_json::from_value(response)?))?)
}

fn clear(remote: &Remote, views: &[String]) -> anyhow::Result<()> {
    let response: Value = remote.post("/admin/cache/clear", &json!({ "views": views }))?;
    let cleared = response["cleared"].as_u64().unwrap_or_default();
    Ok(output::line(format_args!("{} entries dropped", grouped(cleared)))?)
}

fn table_text(stats: &Stats) -> String {
    let Options { enabled, ttl, entries, size } = &stats.options;
    let headings =
        ["VIEW", "HITS#", "MISSES#", "HIT RATIO#", "ENTRIES#", "BYTES#", "EVICTED FOR ROOM#", "EVICTED BY AGE#"];
    let mut table = Table::headed(headings);
    let views = stats.views.iter().map(|(name, usage)| (name.as_str(), usage));
    for (name, usage) in views.chain([("all", &stats.total)]) {
        table.row([
            name.to_owned(),
            grouped(usage.hits),
            grouped(usage.misses),
            hit_ratio(usage),
            grouped(usage.entries),
            grouped(usage.bytes),
            grouped(usage.evictions.size),
            grouped(usage.evictions.expired),
        ]);
    }
    let options = match enabled {
        true => format!("limits: {} entries, {size}, each for {ttl}", grouped(*entries)),
        false => "disabled: cache.enabled is false".to_owned(),
    };
    format!("{}{options}\n", table.text())
}

fn hit_ratio(usage: &Usage) -> String {
    match usage.hits + usage.misses {
        0 => "-".to_owned(),
        asked => format!("{:.1} %", usage.hits as f64 * 100.0 / asked as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_a_table_with_the_options_below() {
        let usage = |hits: u64, misses: u64| {
            json!({"hits": hits, "misses": misses, "loads": 1, "loading": 0, "entries": 2, "bytes": 1234,
                   "evictions": {"size": 3, "expired": 4}})
        };
        let options = json!({"enabled": true, "ttl": "30m", "entries": 5000, "size": "512 MiB"});
        let stats = json!({"options": options, "total": usage(0, 0), "views": {"orders": usage(9, 1)}});
        assert_eq!(
            table_text(&serde_json::from_value(stats).unwrap()),
            "VIEW    HITS  MISSES  HIT RATIO  ENTRIES  BYTES  EVICTED FOR ROOM  EVICTED BY AGE\n\
             orders     9       1     90.0 %        2  1,234                 3               4\n\
             all        0       0          -        2  1,234                 3               4\n\
             limits: 5,000 entries, 512 MiB, each for 30m\n"
        );
    }
}

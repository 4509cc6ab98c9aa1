//! `config`: shows and checks the configuration, and changes it on a running server.

use clap::{Args, Subcommand};
use dormouse_config::{Changes, DEFAULT_TOML, Row};
use serde_json::{Value, json};

use super::remote::{Connection, Remote};
use super::{Settings, output};

/// Shows, checks and changes the configuration
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} config default > {app}.toml      start your own file: keep only the lines that you change
  {app} config check --config {app}.toml
  {app} config print --config {app}.toml --profile production
  {app} config set cache.entries=20000      on a running server")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints every value and its origin, with passwords masked
    ///
    /// The output is TOML, with the origin of each value as a comment. It can be loaded again, except for the
    /// passwords.
    #[command(after_long_help = "\
Examples:
  {app} config print --set runtime.shards=16
  {app} config print --json | jq -r '.[] | select(.origin != \"default\") | .key'")]
    Print {
        #[command(flatten)]
        settings: Settings,
        /// Print an array of objects with key, value and origin instead.
        #[arg(long)]
        json: bool,
    },
    /// Checks the configuration: prints `ok`, or what is wrong and where
    ///
    /// Files that it names are read only by a server that starts.
    #[command(after_long_help = "\
Example:
  {app} config check --config {app}.toml && systemctl restart {app}")]
    Check {
        #[command(flatten)]
        settings: Settings,
    },
    /// Prints the default file: every key, its meaning, and when to change it
    #[command(after_long_help = "\
Example:
  {app} config default > {app}.toml")]
    Default,
    /// Changes values of a running server, until it ends
    ///
    /// All values are changed, or none if one is refused. The server logs the change with the request's id. The
    /// configuration file does not change: to keep a change, write it into the file as well. Values that are read only
    /// at the start are refused, with a list of the values that can be changed.
    #[command(after_long_help = "\
Examples:
  {app} config set cache.entries=20000 cache.size='1 GiB'
  {app} config set cache.enabled=false --server http://10.0.0.7:8080")]
    Set {
        #[command(flatten)]
        connection: Connection,
        /// Values, written as for --set.
        #[arg(value_name = "SECTION.KEY=VALUE", required = true)]
        changes: Vec<String>,
    },
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Print { settings, json } => {
            let loaded = outer.and(settings).load()?;
            if json {
                let rows: Vec<Row> = loaded.rows().collect();
                output::line(serde_json::to_string_pretty(&rows)?)?;
            } else {
                output::text(&loaded.to_toml())?;
            }
        }
        Command::Check { settings } => {
            outer.and(settings).load()?.config.validate_start()?;
            output::line("ok")?;
        }
        Command::Default => output::text(DEFAULT_TOML)?,
        Command::Set { connection, changes } => {
            let changes = Changes::assigned(&changes)?;
            set(&connection.remote(application, outer)?, &changes)?;
        }
    }
    Ok(())
}

fn set(remote: &Remote, changes: &Changes) -> anyhow::Result<()> {
    let response: Value = remote.patch("/admin/config", &json!(changes))?;
    for key in changes.keys() {
        let value = key.split('.').fold(&response["config"], |value, part| &value[part]);
        output::line(format_args!("{key} = {value}"))?;
    }
    Ok(())
}

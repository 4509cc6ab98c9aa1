//! `config`: what the configuration is, whether it is right, what it could be.

use clap::{Args, Subcommand};
use dormouse_config::{DEFAULT_TOML, Row};

use super::{Settings, output};

/// Shows and checks the configuration
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} config default > {app}.toml      start a file of your own: keep only the lines you change
  {app} config check --config {app}.toml
  {app} config print --config {app}.toml --profile production")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints every value and where it came from, passwords masked
    ///
    /// The output is TOML, with the origin of each value as a comment; it loads again, passwords aside.
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
    /// Says whether the configuration is valid: `ok`, or what is wrong and where
    #[command(after_long_help = "\
Example:
  {app} config check --config {app}.toml && systemctl restart {app}")]
    Check {
        #[command(flatten)]
        settings: Settings,
    },
    /// Prints the default file: every key, what it means, and when to change it
    #[command(after_long_help = "\
Example:
  {app} config default > {app}.toml")]
    Default,
}

pub(super) fn run(outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
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
            outer.and(settings).load()?;
            output::line("ok")?;
        }
        Command::Default => output::text(DEFAULT_TOML)?,
    }
    Ok(())
}

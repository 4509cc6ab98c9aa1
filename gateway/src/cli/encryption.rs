//! `encryption`: makes and rotates the wrapping keys of data at rest.

use std::io::{self, IsTerminal};

use clap::{Args, Subcommand};
use dormouse_config::{Config, JournalUrl};
use dormouse_encryption::store::KeyCounts;
use dormouse_encryption::{DataKeys, Rotated, WrappingKeyFile, open_keys};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;

use super::failure::WrongArgument;
use super::projections::grouped;
use super::table::Table;
use super::{Settings, output, serve};

/// Makes and rotates the wrapping keys of data at rest
///
/// Each person's data has a data key of its own. Data keys are stored encrypted by a wrapping key, which is in keys.file.
/// The commands use keys.file and keys.url of the configuration; a server may run meanwhile.
#[derive(Debug, Args)]
#[command(after_long_help = "\
To begin with encryption:
  {app} encryption add-key --set keys.file=/etc/dormouse/wrapping.keys
  {app} serve --set keys.file=/etc/dormouse/wrapping.keys --set journal.encryption=personal

To replace the wrapping key:
  {app} encryption add-key      make a new one
  {app} encryption rotate       encrypt all data keys with it, while the server runs
  {app} encryption status       see that only the new one is needed; then remove the old line of the file")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Adds a wrapping key to keys.file, which is made if it is missing
    ///
    /// From then on, new data keys are encrypted with it. Keep a copy of the file, but not where backups of the journal
    /// are. Without the file, all encrypted data is lost.
    #[command(after_long_help = "\
Examples:
  {app} encryption add-key --set keys.file=/etc/dormouse/wrapping.keys
  {app} encryption add-key --config dormouse.toml")]
    AddKey {
        #[command(flatten)]
        settings: Settings,
    },
    /// Encrypts all data keys with the newest wrapping key, while the server runs
    ///
    /// No event, view or snapshot is rewritten. A rotation that was interrupted goes on where it was when it is repeated.
    ///
    /// Exit codes: 0 done, 1 failed, or a server still uses an earlier wrapping key: repeat it then.
    #[command(after_long_help = "\
Examples:
  {app} encryption rotate
  {app} encryption rotate --json")]
    Rotate {
        /// Print the result as an object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Shows how many data keys there are, and which wrapping keys they need
    #[command(after_long_help = "\
Examples:
  {app} encryption status
  {app} encryption status --json | jq .wrapping_keys")]
    Status {
        /// Print the result as an object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
}

pub(super) fn run(outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::AddKey { settings } => add_key(&outer.and(settings).load()?.config),
        Command::Rotate { json, settings } => {
            let config = outer.and(settings).load()?.config;
            serve::runtime()?.block_on(rotate(&config, json))
        }
        Command::Status { json, settings } => {
            let config = outer.and(settings).load()?.config;
            serve::runtime()?.block_on(status(&config, json))
        }
    }
}

fn no_file() -> WrongArgument {
    WrongArgument("keys.file names no file: set it, as the server has it".to_owned())
}

fn add_key(config: &Config) -> anyhow::Result<()> {
    let path = config.keys.file().ok_or_else(no_file)?;
    let is_first = !path.exists();
    let id = WrappingKeyFile::create(path, Timestamp::now())?;
    let next = match is_first {
        true => "keep a copy of the file where no backup of the journal is",
        false => "`encryption rotate` encrypts the data keys with it",
    };
    Ok(output::line(format_args!("added {id} to {}; {next}", path.display()))?)
}

/// The keys of a server with this configuration.
pub(super) async fn keys(config: &Config) -> anyhow::Result<DataKeys> {
    if config.keys.url == JournalUrl::Memory {
        return Err(WrongArgument("keys.url is in the memory of the server".to_owned()).into());
    }
    Ok(open_keys(config).await?.ok_or_else(no_file)?)
}

async fn rotate(config: &Config, json: bool) -> anyhow::Result<()> {
    let keys = keys(config).await?;
    let bar = bar();
    let shown = bar.clone();
    let rotated = keys.rotate(move |progress| {
        shown.set_length(progress.total.max(progress.done));
        shown.set_position(progress.done);
    });
    let Rotated { rewrapped, remaining } = rotated.await?;
    bar.finish_and_clear();
    match json {
        true => output::line(json!({ "rewrapped": rewrapped, "remaining": remaining }))?,
        false => output::line(format_args!("{} data keys encrypted with the newest wrapping key", grouped(rewrapped)))?,
    }
    if remaining > 0 {
        anyhow::bail!(
            "{} data keys still need an earlier wrapping key, because a server uses it: repeat this command",
            grouped(remaining)
        );
    }
    Ok(())
}

/// Hidden, if standard error is not a terminal.
fn bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("[{bar:30}] {percent:>3} %  {pos} of {len} data keys");
    ProgressBar::new(0).with_style(style.expect("the template is right, help shows it"))
}

async fn status(config: &Config, json: bool) -> anyhow::Result<()> {
    let counts = keys(config).await?.counts().await?;
    if json {
        let KeyCounts { live, destroyed } = &counts;
        let shown = json!({ "keys": counts.all_live(), "destroyed": destroyed, "wrapping_keys": live });
        return Ok(output::line(serde_json::to_string_pretty(&shown)?)?);
    }
    let mut table = Table::headed(["WRAPPING KEY", "DATA KEYS#"]);
    for (wrapping_key, data_keys) in &counts.live {
        table.row([wrapping_key.to_string(), grouped(*data_keys)]);
    }
    let destroyed = grouped(counts.destroyed);
    Ok(output::text(&format!(
        "{}{destroyed} data keys were destroyed, because their persons were forgotten\n",
        table.text()
    ))?)
}

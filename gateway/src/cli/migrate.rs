//! `migrate`: updates the journal's schema before a start.

use clap::Args;
use dormouse_config::JournalUrl;
use dormouse_journal::store::Migrated;

use super::{Settings, output, serve};

/// Updates the journal's schema
///
/// `serve` does this by itself. Do it beforehand if a start must be quick, or if the server may not change schemas. A
/// journal that a newer version has migrated is refused and left unchanged.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} migrate
  {app} migrate --set journal.url=postgres://dormouse@db/dormouse")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) settings: Settings,
}

pub(super) fn run(settings: Settings) -> anyhow::Result<()> {
    let config = settings.load()?.config;
    let url = &config.journal.url;
    if matches!(url, JournalUrl::Memory) {
        return Ok(output::line(format_args!("{url} has no schema"))?);
    }
    let Migrated { from, to } = serve::runtime()?.block_on(dormouse_journal::migrate(&config))?;
    output::line(if from == to {
        format!("{url} is up to date at schema version {to}")
    } else {
        format!("{url} migrated from schema version {from} to {to}")
    })?;
    Ok(())
}

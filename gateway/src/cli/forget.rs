//! `forget`: destroys the data key of a person on a running server.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::confirm;
use super::remote::{Connection, segment};
use super::{Settings, output};

/// Forgets a person, for ever
///
/// The data key of the person is destroyed. So nothing that it encrypted can be read again: in the log, its snapshots,
/// views, queues and backups. States and views show the values as forgotten, and events keep everything else. What is
/// stored of the person later gets a new key.
///
/// SUBJECT is the person as the application names them: by default TYPE/ID of their aggregate.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} forget learner/42
  {app} forget learner/42 --yes --certificate learner-42.json
  {app} forget learner/42 --yes --json | jq .keys

Copies of the destroyed key may remain in backups of the data keys. They are encrypted: `encryption add-key`, `encryption
rotate`, and the removal of the old wrapping key make them useless.")]
pub(super) struct Arguments {
    /// The person, such as learner/42.
    subject: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Write the certificate of what was destroyed into this file, which must not exist.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Print the certificate.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Deserialize)]
struct Certificate {
    destroyed: usize,
    keys: Vec<Value>,
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { subject, yes, certificate, json, connection } = arguments;
    let remote = connection.remote(application, outer)?;
    confirm::require(yes, &format!("the data of {subject} will be lost for ever"))?;
    // Before anything is destroyed.
    let file = certificate.map(|path| {
        let opened = OpenOptions::new().write(true).create_new(true).open(&path);
        opened.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
    });
    let file = file.transpose()?;
    let certified: Value = remote.post(&format!("/admin/subjects/{}/forget", segment(&subject)), &json!({}))?;
    let text = serde_json::to_string_pretty(&certified)?;
    if let Some(mut file) = file {
        writeln!(file, "{text}")?;
        file.sync_all()?;
    }
    if json {
        return Ok(output::line(text)?);
    }
    let Certificate { destroyed, keys } = serde_json::from_value(certified)?;
    let what = match (destroyed, keys.len()) {
        (0, 0) => format!("nothing was ever encrypted for {subject}"),
        (0, _) => format!("{subject} was forgotten before"),
        _ => format!("{subject} is forgotten"),
    };
    Ok(output::line(what)?)
}

//! `keys`: makes, lists and revokes API keys.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dormouse_auth::{ApiKey, ApiKeyFile, Grant, NewApiKey};
use jiff::{Span, Timestamp};
use serde_json::{Value, json};

use super::failure::WrongArgument;
use super::table::Table;
use super::{Settings, output};
use crate::app::App;

/// Makes, lists and revokes the API keys of machines
///
/// An API key is for a machine that has no token of an issuer. The server must have auth.mode = "jwt", and its file of
/// keys is auth.api_keys. A running server follows a change of the file within ten seconds, or at once at SIGHUP.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} keys create ci --permission commands.CreateOrder --permission queries.GetOrder
  {app} keys create backup --permission 'admin.*' --expires 90d
  {app} keys list
  {app} keys revoke ci")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a key and prints it: the only time that it can be read
    ///
    /// The file has only a hash of the key. Events that the key causes have key:NAME as their subject.
    #[command(after_long_help = "\
Examples:
  {app} keys create ci --permission commands.CreateOrder --permission queries.GetOrder
  {app} keys create metrics --permission admin.metrics > /run/secrets/metrics-key
  {app} keys create ops --permission 'admin.*' --expires 12h --json | jq -r .key")]
    Create(Create),
    /// Lists the keys, without their secrets
    #[command(after_long_help = "\
Examples:
  {app} keys list
  {app} keys list --all --json | jq -r '.[] | select(.revoked_at != null) | .name'")]
    List(List),
    /// Revokes a key, for ever
    #[command(after_long_help = "\
Examples:
  {app} keys revoke ci
  {app} keys revoke 5f0c3a9be1d24c77")]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct Place {
    /// The file [default: auth.api_keys of the configuration]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Create {
    /// What the key is for: letters, digits, dashes, dots and underscores.
    name: String,
    /// Something that it may do: commands.NAME, queries.NAME or admin.NAME; `*` is everything of a section. May be
    /// repeated. `auth permissions` lists the names.
    #[arg(long, value_name = "PERMISSION", required = true)]
    permission: Vec<String>,
    /// The time after which it does not count any more, such as 12h or 90d [default: it does not expire]
    #[arg(long, value_name = "TIME")]
    expires: Option<Span>,
    /// Print an object instead, with the key and what the file has of it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct List {
    /// Also the keys that have expired or were revoked.
    #[arg(long)]
    all: bool,
    /// Print an array of objects instead.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Revoke {
    /// The name of the key, or its id.
    key: String,
    #[command(flatten)]
    place: Place,
}

impl Place {
    fn path(self, outer: Settings) -> anyhow::Result<PathBuf> {
        if let Some(file) = self.file {
            return Ok(file);
        }
        let config = outer.and(self.settings).load()?.config;
        config.auth.api_keys().map(ToOwned::to_owned).ok_or_else(|| {
            let what = "auth.api_keys names no file: set it, as the server has it, or name a file with --file";
            WrongArgument(what.to_owned()).into()
        })
    }
}

pub(super) fn run(app: &App, outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    let now = Timestamp::now();
    match arguments.command {
        Command::Create(create) => run_create(app, outer, create, now),
        Command::List(List { all, json, place }) => {
            let file = ApiKeyFile::read(&place.path(outer)?)?;
            let keys: Vec<_> = file.keys().iter().filter(|key| all || status(key, now) == "valid").collect();
            if json {
                let shown: Vec<Value> = keys.iter().map(|key| shown(key)).collect();
                return Ok(output::line(serde_json::to_string_pretty(&shown)?)?);
            }
            if keys.is_empty() {
                return Ok(output::line("there is no API key")?);
            }
            Ok(output::text(&table_text(&keys, now))?)
        }
        Command::Revoke(Revoke { key, place }) => {
            let revoked = ApiKeyFile::revoke(&place.path(outer)?, &key, now)?;
            Ok(output::line(format_args!("revoked {} ({})", revoked.name, revoked.id))?)
        }
    }
}

fn run_create(app: &App, outer: Settings, create: Create, now: Timestamp) -> anyhow::Result<()> {
    let Create { name, permission, expires, json, place } = create;
    let grants = permission.iter().map(|text| checked(app, text)).collect::<Result<Vec<_>, _>>()?;
    let expires_at = expires.map(|span| after(now, span)).transpose()?;
    let (key, made) = ApiKeyFile::create(&place.path(outer)?, NewApiKey { name, grants, expires_at }, now)?;
    if json {
        let mut document = shown(&made);
        document["key"] = key.into();
        return Ok(output::line(serde_json::to_string_pretty(&document)?)?);
    }
    Ok(output::line(key)?)
}

/// A grant must name something that exists: a key that may do nothing would be found out only when it is used.
fn checked(app: &App, text: &str) -> Result<Grant, WrongArgument> {
    let grant: Grant = text.parse().map_err(|error: dormouse_auth::InvalidGrant| WrongArgument(error.to_string()))?;
    if grant.is_for_all() || app.permission_names().has(grant.section(), grant.name()) {
        return Ok(grant);
    }
    Err(WrongArgument(format!("there is no permission {text:?}: `auth permissions` lists them")))
}

/// Days have 24 hours here: an expiry does not depend on the calendar of a place.
fn after(now: Timestamp, span: Span) -> Result<Timestamp, WrongArgument> {
    let wrong = || WrongArgument(format!("--expires {span:#}: use a time such as 12h or 90d"));
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    now.checked_add(duration).ok().filter(|at| *at > now).ok_or_else(wrong)
}

fn status(key: &ApiKey, now: Timestamp) -> &'static str {
    if key.revoked_at.is_some() {
        "revoked"
    } else if key.expires_at.is_some_and(|at| at <= now) {
        "expired"
    } else {
        "valid"
    }
}

fn shown(key: &ApiKey) -> Value {
    let permissions: Vec<String> = key.grants.iter().map(Grant::to_string).collect();
    json!({
        "id": key.id,
        "name": key.name,
        "permissions": permissions,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    })
}

fn table_text(keys: &[&ApiKey], now: Timestamp) -> String {
    let mut table = Table::headed(["ID", "NAME", "STATUS", "EXPIRES", "PERMISSIONS"]);
    for key in keys {
        let permissions: Vec<String> = key.grants.iter().map(Grant::to_string).collect();
        let expires = key.expires_at.map(|at| at.to_string()).unwrap_or_default();
        let status = status(key, now).to_owned();
        table.row([key.id.clone(), key.name.clone(), status, expires, permissions.join(" ")]);
    }
    table.text()
}

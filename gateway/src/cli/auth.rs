//! `auth`: who may do what.

mod owner;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use dormouse_auth::{Access, Caller, Rights, Role, Rule, Section};
use dormouse_config::AuthMode;
use serde_json::json;

use self::owner::Belongs;
use super::events::aggregate_of;
use super::failure::WrongArgument;
use super::table::Table;
use super::{Settings, encryption, output, serve};
use crate::app::App;
use crate::callers::{self, TelegramSubjects};

/// Shows who may do what, and why
///
/// The commands work on the configuration, and on the journal that it names: no server needs to run.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} auth permissions --config {app}.toml
  {app} auth explain --config {app}.toml --token token.txt CreateOrder")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists all permissions with their roles
    ///
    /// Without a role, nobody may. `own:` before a role means: only on what is the caller's own.
    #[command(after_long_help = "\
Examples:
  {app} auth permissions
  {app} auth permissions --json | jq -r '.[] | select(.roles == []) | .name'")]
    Permissions {
        /// Print an array of objects instead.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Explains whether the caller with a token may do something, and why
    ///
    /// The token is verified as a server with this configuration would. With TYPE and ID, the answer is for this aggregate:
    /// a role with `own:` may act only on what belongs to the caller. The aggregate is read from the journal; a server may
    /// run meanwhile. The exit code is 0 if the caller may, and 1 if it may not, or if the token is refused.
    #[command(after_long_help = "\
Examples:
  {app} auth explain --token token.txt CreateOrder
  {app} auth explain --token token.txt AddLine order o-17
  {app} auth explain --token /run/secrets/api-key admin.projections.rebuild
  {app} auth explain --token - queries.GetOrder < token.txt")]
    Explain(Explain),
    /// Prints the subject of a user of Telegram
    ///
    /// With auth.telegram.hide_ids it has a hash in place of the id. Ask with it what the user has, or forget the user.
    #[command(after_long_help = "\
Examples:
  {app} auth telegram-subject 42
  {app} forget \"user/$({app} auth telegram-subject 42)\"")]
    TelegramSubject {
        /// The id that Telegram gave the user.
        id: u64,
        #[command(flatten)]
        settings: Settings,
    },
}

#[derive(Debug, Args)]
struct Explain {
    /// File with the token or the API key; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    token: PathBuf,
    /// What the caller wants to do: the name of a command or query, or commands.NAME, queries.NAME, admin.NAME.
    permission: String,
    /// The type of the aggregate on which the caller wants to do it.
    #[arg(value_name = "TYPE", requires = "id")]
    aggregate_type: Option<String>,
    /// The id of the aggregate.
    id: Option<String>,
    /// Print an object instead.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(app: &App, outer: Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Permissions { json, settings } => {
            let config = outer.and(settings).load()?.config;
            let permissions = app.list_permissions(&app.permissions(&config)?);
            if json {
                output::line(serde_json::to_string_pretty(&permissions)?)?;
                return Ok(ExitCode::SUCCESS);
            }
            let mut table = Table::headed(["PERMISSION", "ROLES"]);
            for one in permissions {
                let roles = if one.roles.is_empty() { "nobody".to_owned() } else { one.roles.join(" ") };
                table.row([format!("{}.{}", one.section, one.name), roles]);
            }
            output::text(&table.text())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Explain(explain) => run_explain(app, outer, explain),
        Command::TelegramSubject { id, settings } => {
            let config = outer.and(settings).load()?.config;
            let subjects = serve::runtime()?.block_on(async {
                let keys = if config.auth.telegram.hide_ids { Some(encryption::keys(&config).await?) } else { None };
                anyhow::Ok(TelegramSubjects::new(&config.auth.telegram, keys.as_ref()))
            })?;
            output::line(subjects.of(id))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn run_explain(app: &App, outer: Settings, arguments: Explain) -> anyhow::Result<ExitCode> {
    let Explain { token, permission, aggregate_type, id, json, settings } = arguments;
    let aggregate = aggregate_type.zip(id).map(|(name, id)| aggregate_of(name, id)).transpose()?;
    let config = outer.and(settings).load()?.config;
    if config.auth.mode == AuthMode::None {
        let what = "auth.mode is \"none\": callers are not authenticated, and everybody may do everything";
        return Err(WrongArgument(what.to_owned()).into());
    }
    let rule = find(app, &app.permissions(&config)?, &permission)?;
    let credentials = read_token(&token)?;
    let authenticator = callers::authenticator(&config.auth)?;
    let caller = match authenticator {
        Some(authenticator) => serve::runtime()?.block_on(authenticator.authenticate(&credentials))?,
        None => anyhow::bail!("callers are not authenticated"),
    };
    let name = rule.to_string();
    let decided = rule.decide(&caller);
    let belongs = match &aggregate {
        Some(aggregate) => Some(serve::runtime()?.block_on(owner::of(app, &config, aggregate))?),
        None => None,
    };
    let verdict = Verdict::of(decided.ok(), belongs.as_ref(), &caller.subject);
    let roles: Vec<String> = rule.roles().iter().map(Role::to_string).collect();
    if json {
        let mut document = json!({
            "subject": caller.subject,
            "has": rights(&caller),
            "permission": name,
            "takes": roles,
            "may": verdict.word(),
        });
        if let (Some(aggregate), Some(belongs)) = (&aggregate, &belongs) {
            let (exists, owner) = match belongs {
                Belongs::ToNobodyYet => (false, None),
                Belongs::To(owner) => (true, owner.as_deref()),
            };
            document["aggregate"] = json!({ "type": aggregate.aggregate_type.as_str(), "id": aggregate.id.as_str(),
                "exists": exists, "owner": owner });
        }
        output::line(serde_json::to_string_pretty(&document)?)?;
    } else {
        let takes =
            if roles.is_empty() { "nobody may".to_owned() } else { format!("it takes one of: {}", roles.join(", ")) };
        let on = aggregate.as_ref().map(|aggregate| format!(" on {aggregate}")).unwrap_or_default();
        output::line(format_args!("{} {} {name}{on}", caller.subject, verdict.sentence()))?;
        output::line(format_args!("  {takes}"))?;
        output::line(format_args!("  the caller has: {}", rights(&caller).join(", ")))?;
        match &belongs {
            None => {}
            Some(Belongs::ToNobodyYet) => output::line("  it does not exist: it will belong to whoever creates it")?,
            Some(Belongs::To(None)) => output::line("  it belongs to nobody")?,
            Some(Belongs::To(Some(owner))) => output::line(format_args!("  it belongs to: {owner}"))?,
        }
    }
    Ok(if verdict == Verdict::Nothing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    All,
    Own,
    Nothing,
}

impl Verdict {
    /// What the rule gives to a caller, on an aggregate if one is named.
    fn of(access: Option<Access>, belongs: Option<&Belongs>, subject: &str) -> Self {
        match (access, belongs) {
            (None, _) => Self::Nothing,
            (Some(Access::All), _) => Self::All,
            (Some(Access::Own), None | Some(Belongs::ToNobodyYet)) => Self::Own,
            (Some(Access::Own), Some(Belongs::To(owner))) if owner.as_deref() == Some(subject) => Self::Own,
            (Some(Access::Own), Some(Belongs::To(_))) => Self::Nothing,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Own => "own",
            Self::Nothing => "nothing",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::All => "may do",
            Self::Own => "may do, on what is its own,",
            Self::Nothing => "may not do",
        }
    }
}

/// The rule with this name, with or without its section.
fn find(app: &App, permissions: &dormouse_auth::Permissions, written: &str) -> Result<Rule, WrongArgument> {
    let names = app.permission_names();
    let with_section = written.split_once('.').and_then(|(section, name)| {
        let section = Section::ALL.into_iter().find(|known| known.name() == section)?;
        names.has(section, name).then_some((section, name))
    });
    let bare =
        || Section::ALL.into_iter().find(|section| names.has(*section, written)).map(|section| (section, written));
    let (section, name) = with_section
        .or_else(bare)
        .ok_or_else(|| WrongArgument(format!("there is no permission {written:?}: `auth permissions` lists them")))?;
    Ok(permissions.rule_of(section, name))
}

fn read_token(path: &PathBuf) -> Result<String, WrongArgument> {
    let read =
        if path.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { fs::read_to_string(path) };
    let text = read.map_err(|error| WrongArgument(format!("--token {}: {error}", path.display())))?;
    Ok(text.trim().to_owned())
}

/// What the caller brings.
fn rights(caller: &Caller) -> Vec<String> {
    match &caller.rights {
        Rights::Roles(roles) if roles.is_empty() => vec!["no role".to_owned()],
        Rights::Roles(roles) => roles.iter().map(|role| format!("role {role}")).collect(),
        Rights::Grants { grants, .. } => grants.iter().map(|grant| format!("permission {grant}")).collect(),
    }
}

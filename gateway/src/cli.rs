//! The command line.
//!
//! Each command is a file with its arguments, its help and its code. Results are printed on standard output, everything
//! else on standard error; an error is one line. Exit codes: 0 done, 1 failed, 2 wrong command line or configuration;
//! 128 + n if a second signal n ended a shutdown early; 130 if Ctrl-C ended the display of an operation that continues.

mod audit;
mod auth;
mod cache;
mod completions;
mod config;
mod confirm;
mod encryption;
mod events;
mod failed;
mod failure;
mod file_limit;
mod forget;
mod import;
mod keys;
mod listeners;
mod migrate;
mod output;
mod projections;
mod queues;
mod remote;
mod serve;
mod settings;
mod snapshots;
mod table;
mod threads;
mod timers;
mod webhooks;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::settings::Settings;
use crate::app::App;

/// Runs event-sourced aggregates as actors.
///
/// An aggregate sleeps in the journal, wakes when a command names it, stays in memory while it is used, and goes back
/// to sleep. Without a command, the server is started.
#[derive(Debug, Parser)]
#[command(after_long_help = "\
Examples:
  {app}                                        serve on http://127.0.0.1:8080, keep everything in ./data
  {app} serve --profile production             serve with the settings for production
  {app} config print --set runtime.shards=16   show every value and its origin
  {app} events show TYPE ID                    the history of an aggregate
  {app} import FILE                            send a file of commands to a running server
  {app} projections list                       the progress of the views of a running server
  {app} failed list                            the jobs of a running server that have failed too often
  {app} webhooks add https://example.org/hook  send events to a receiver
  {app} auth permissions                       who may do what
  {app} audit list                             who did what
  {app} forget TYPE/ID                         forget a person
  {app} help serve                             the whole help of one command

Configuration, later wins: defaults < --profile < --config < environment DORMOUSE__SECTION__KEY < --set.
Exit codes: 0 done, 1 failed, 2 wrong command line or configuration.")]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Config(config::Arguments),
    Events(events::Arguments),
    Import(import::Arguments),
    Projections(projections::Arguments),
    Listeners(listeners::Arguments),
    Queues(queues::Arguments),
    Failed(failed::Arguments),
    Timers(timers::Arguments),
    Cache(cache::Arguments),
    Snapshots(snapshots::Arguments),
    Webhooks(webhooks::Arguments),
    Auth(auth::Arguments),
    Keys(keys::Arguments),
    Audit(audit::Arguments),
    Encryption(encryption::Arguments),
    Forget(forget::Arguments),
    Migrate(migrate::Arguments),
    Completions(completions::Arguments),
}

/// Runs the command line of this process.
pub(crate) fn run(app: &App) -> ExitCode {
    dormouse_kernel::failpoint::set_up();
    let cli = match command(app).try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return failure::usage(app.name(), &error),
    };
    match dispatch(app, cli) {
        Ok(code) => code,
        Err(error) => failure::report(app.name(), &error),
    }
}

fn dispatch(app: &App, cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { settings, command: chosen } = cli;
    match chosen.unwrap_or(Command::Serve(serve::Arguments::default())) {
        Command::Serve(arguments) => return serve::run(app, settings.and(arguments.settings)),
        Command::Config(arguments) => config::run(app.name(), settings, arguments)?,
        Command::Events(arguments) => events::run(app.name(), settings, arguments)?,
        Command::Import(arguments) => return import::run(app.name(), settings, arguments),
        Command::Projections(arguments) => return projections::run(app.name(), settings, arguments),
        Command::Listeners(arguments) => listeners::run(app.name(), settings, arguments)?,
        Command::Queues(arguments) => queues::run(app.name(), settings, arguments)?,
        Command::Failed(arguments) => failed::run(app.name(), settings, arguments)?,
        Command::Timers(arguments) => timers::run(app.name(), settings, arguments)?,
        Command::Cache(arguments) => cache::run(app.name(), settings, arguments)?,
        Command::Snapshots(arguments) => return snapshots::run(app.name(), settings, arguments),
        Command::Webhooks(arguments) => webhooks::run(app.name(), settings, arguments)?,
        Command::Auth(arguments) => return auth::run(app, settings, arguments),
        Command::Keys(arguments) => keys::run(app, settings, arguments)?,
        Command::Audit(arguments) => audit::run(settings, arguments)?,
        Command::Encryption(arguments) => encryption::run(settings, arguments)?,
        Command::Forget(arguments) => forget::run(app.name(), settings, arguments)?,
        Command::Migrate(arguments) => migrate::run(settings.and(arguments.settings))?,
        Command::Completions(arguments) => completions::run(command(app), &arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The command line, with the application's name.
fn command(app: &App) -> clap::Command {
    let version = match app.name() {
        "dormouse" => env!("CARGO_PKG_VERSION"),
        _ => concat!("(dormouse ", env!("CARGO_PKG_VERSION"), ")"),
    };
    with_application_name(Cli::command(), app.name()).name(app.name()).bin_name(app.name()).version(version)
}

/// Replaces `{app}` in the help texts by the application's name.
fn with_application_name(command: clap::Command, app: &str) -> clap::Command {
    let help = command.get_after_long_help().map(|help| help.to_string().replace("{app}", app));
    let command = match help {
        Some(help) => command.after_long_help(help),
        None => command,
    };
    command.mut_subcommands(|subcommand| with_application_name(subcommand, app))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Cli {
        let matches = command(&App::new("bank")).try_get_matches_from(arguments);
        Cli::from_arg_matches(&matches.unwrap()).unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        command(&App::new("bank")).debug_assert();
    }

    #[test]
    fn help_calls_the_application_by_its_name() {
        fn check(command: &mut clap::Command) {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Usage: bank"), "{help}");
            assert!(!help.contains("{app}") && !help.contains("  dormouse"), "{help}");
            command.get_subcommands_mut().for_each(check);
        }
        let mut command = command(&App::new("bank"));
        command.build();
        check(&mut command);
    }

    #[test]
    fn settings_before_and_after_a_command_add_up() {
        let cli =
            parse(&["bank", "--set", "a=1", "--profile", "production", "serve", "--set", "b=2", "--profile", "x"]);
        let Some(Command::Serve(arguments)) = cli.command else { panic!("{:?}", cli.command) };
        let settings = cli.settings.and(arguments.settings);
        assert_eq!(settings.set, ["a=1", "b=2"]);
        assert_eq!(settings.profile.as_deref(), Some("x"));
    }

    #[test]
    fn no_command_serves() {
        assert!(parse(&["bank"]).command.is_none());
    }
}

//! Errors as one line and as an exit code. A few have lines that mend them.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use dormouse_config::Violation;

use super::remote::RemoteError;
use crate::running::StartError;

const FAILED: u8 = 1;
const WRONG_USE: u8 = 2;

/// An argument that clap accepts, but that is invalid.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongArgument(pub(super) String);

/// Reports why a command failed.
pub(super) fn report(application: &str, error: &anyhow::Error) -> ExitCode {
    // The reader of our output has closed the pipe: `events show … | head -1` is not a failure.
    if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    print_error(application, &with_causes(error));
    if let Some(remedy) = violation(error).and_then(Violation::remedy) {
        // If this fails, there is no other place to report it.
        let _closed = writeln!(io::stderr(), "These lines of a configuration file mend it:\n{remedy}");
    }
    ExitCode::from(if is_wrong_use(error) { WRONG_USE } else { FAILED })
}

/// The message of the error and those of its causes, without causes that the message contains already.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |message, cause| {
        if message.contains(&cause) { message } else { format!("{message}: {cause}") }
    })
}

fn violation(error: &anyhow::Error) -> Option<&Violation> {
    match error.downcast_ref() {
        Some(StartError::Config(violation)) => Some(violation),
        _ => error.downcast_ref(),
    }
}

fn is_wrong_use(error: &anyhow::Error) -> bool {
    error.is::<WrongArgument>()
        || error.is::<dormouse_config::Error>()
        || violation(error).is_some()
        || error.downcast_ref().is_some_and(RemoteError::is_wrong_use)
}

/// Reports a command line that is invalid, or prints the help or the version that it asks for.
pub(super) fn usage(application: &str, error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // The reader may have closed the pipe, as above.
        let _closed = error.print();
        return ExitCode::SUCCESS;
    }
    print_error(application, &format!("{} (see {application} --help)", summary(&error.render().to_string())));
    ExitCode::from(WRONG_USE)
}

/// The part of clap's message before the usage, on one line.
fn summary(rendered: &str) -> String {
    let text = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let message_lines =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    message_lines.collect::<Vec<_>>().join(" ").replace(" tip: ", ", ")
}

fn print_error(application: &str, what: &str) {
    let what = what.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    // If this fails, there is no other place to report it.
    let _closed = writeln!(io::stderr(), "{application}: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_clap_fits_on_one_line() {
        let rendered = "error: unrecognized subcommand 'serv'\n\n  tip: a similar subcommand exists: 'serve'\n\n\
                        Usage: bank [OPTIONS] [COMMAND]\n\nFor more information, try '--help'.\n";
        assert_eq!(summary(rendered), "unrecognized subcommand 'serv', a similar subcommand exists: 'serve'");
    }

    #[test]
    fn a_cause_is_reported_once() {
        let cause = || io::Error::other("the disk is on fire");
        assert_eq!(
            with_causes(&anyhow::Error::new(cause()).context("cannot write")),
            "cannot write: the disk is on fire"
        );
        assert_eq!(
            with_causes(&anyhow::Error::new(cause()).context("alas: the disk is on fire")),
            "alas: the disk is on fire"
        );
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure() {
        let gone = anyhow::Error::from(io::Error::from(ErrorKind::BrokenPipe));
        assert_eq!(report("bank", &gone), ExitCode::SUCCESS);
    }
}

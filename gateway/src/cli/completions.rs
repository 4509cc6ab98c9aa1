//! `completions`: prints the script that a shell needs to complete command lines.

use clap::Args;
use clap_complete::Shell;

use super::output;

/// Prints a script that lets a shell complete commands and options
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} completions bash > ~/.local/share/bash-completion/completions/{app}
  {app} completions fish > ~/.config/fish/completions/{app}.fish")]
pub(super) struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(mut command: clap::Command, arguments: &Arguments) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    // The script is not written straight to standard output, because clap panics if the reader has closed the pipe.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    Ok(output::text(&String::from_utf8(script)?)?)
}

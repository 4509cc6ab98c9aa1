//! Asks before something is deleted.

use std::io::{self, BufRead, IsTerminal, Write};

use super::failure::WrongArgument;

/// Returns if the user agrees to `what`: beforehand with `--yes`, or now at the terminal.
pub(super) fn require(is_agreed: bool, what: &str) -> anyhow::Result<()> {
    if is_agreed {
        return Ok(());
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(WrongArgument(format!("{what}: repeat the command with --yes to do it")).into());
    }
    // Standard output is for results.
    let mut stderr = io::stderr();
    write!(stderr, "{what}. Go on? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(());
    }
    anyhow::bail!("nothing was done")
}

//! Asking before something is thrown away.

use std::io::{self, BufRead, IsTerminal, Write};

use super::failure::WrongArgument;

/// Lets `what` happen if it was agreed to: beforehand (`--yes`), or now, by whoever sits at the terminal.
pub(super) fn confirmed(is_agreed: bool, what: &str) -> anyhow::Result<()> {
    if is_agreed {
        return Ok(());
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(WrongArgument(format!("{what}: say --yes if that is what you want")).into());
    }
    // Not to standard output, which is for results.
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

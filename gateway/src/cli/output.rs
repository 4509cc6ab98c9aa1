//! Standard output, which is for results. An error ends the command. If the reader has closed the pipe, the command
//! ends without a message (see [`report`](super::failure::report)).

use std::fmt::Display;
use std::io::{self, Write};

/// Prints a line, and flushes it.
pub(super) fn line(line: impl Display) -> io::Result<()> {
    text(&format!("{line}\n"))
}

/// Prints a text that ends with its own line break.
pub(super) fn text(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

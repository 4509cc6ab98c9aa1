//! Standard output, for results. An error of it ends the command; if it is that nobody reads any more, quietly
//! (see [`report`](super::failure::report)).

use std::fmt::Display;
use std::io::{self, Write};

/// Prints a line, at once.
pub(super) fn line(line: impl Display) -> io::Result<()> {
    text(&format!("{line}\n"))
}

/// Prints a text that ends as it should.
pub(super) fn text(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

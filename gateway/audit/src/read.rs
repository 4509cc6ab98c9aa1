//! Reads entries, also while a process writes the log. Hashes are not checked: [`verify`](crate::verify) does that.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::chain::{Head, Mac};
use crate::damage::{Damage, Place};
use crate::line::{StoredEntry, Unverified};
use crate::segments::{self, Lines, NextLine, Segment};

/// Which entries are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only entries of this time or later.
    pub since: Option<Timestamp>,
    /// Only entries of this subject.
    pub subject: Option<String>,
    /// Only entries after the one with this number.
    pub after: u64,
}

impl Filter {
    fn takes(&self, stored: &StoredEntry) -> bool {
        stored.sequence > self.after
            && self.since.is_none_or(|since| stored.time >= since)
            && self.subject.as_ref().is_none_or(|subject| stored.entry.who.subject.as_ref() == Some(subject))
    }
}

/// The log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A line is no entry.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Entries one by one, in their order.
pub struct Entries {
    segments: std::vec::IntoIter<Segment>,
    current: Option<(Segment, Lines)>,
    filter: Filter,
    failed: bool,
}

/// The entries of the log in a directory, the oldest first. They are read one by one.
///
/// # Errors
/// The directory cannot be read.
pub fn entries(directory: &Path, filter: Filter) -> Result<Entries, ReadError> {
    let list = list(directory)?;
    // A segment is passed over if the next one begins at or before what is looked for: numbers have no gaps.
    let mut begin = 0;
    for (at, segment) in list.iter().enumerate().skip(1) {
        if filter.after == 0 || first_sequence(segment)?.is_none_or(|first| first > filter.after + 1) {
            break;
        }
        begin = at;
    }
    let segments = list.into_iter().skip(begin).collect::<Vec<_>>().into_iter();
    Ok(Entries { segments, current: None, filter, failed: false })
}

fn list(directory: &Path) -> Result<Vec<Segment>, ReadError> {
    segments::list(directory).map_err(|source| ReadError::Io { path: directory.to_owned(), source })
}

/// The number of the first entry of a segment.
fn first_sequence(segment: &Segment) -> Result<Option<u64>, ReadError> {
    let io = |source| ReadError::Io { path: segment.path.clone(), source };
    let mut lines = Lines::open(&segment.path).map_err(io)?;
    match lines.next().map_err(io)? {
        NextLine::Complete(line) => Ok(Unverified::parse(line).map(|line| line.sequence)),
        _ => Ok(None),
    }
}

impl Entries {
    /// The next entry that the filter takes.
    fn advance(&mut self) -> Result<Option<StoredEntry>, ReadError> {
        loop {
            let Some((segment, lines)) = &mut self.current else {
                let Some(segment) = self.segments.next() else { return Ok(None) };
                let lines = Lines::open(&segment.path);
                let lines = lines.map_err(|source| ReadError::Io { path: segment.path.clone(), source })?;
                self.current = Some((segment, lines));
                continue;
            };
            let place = Place { segment: segment.name(), line: lines.number + 1 };
            match lines.next().map_err(|source| ReadError::Io { path: segment.path.clone(), source })? {
                NextLine::Complete(line) => {
                    let stored = serde_json::from_slice(line).map_err(|_| Damage::Malformed { place })?;
                    if self.filter.takes(&stored) {
                        return Ok(Some(stored));
                    }
                }
                NextLine::TooLong => return Err(Damage::Malformed { place }.into()),
                // It is being written, or it was when the process ended.
                NextLine::Incomplete(_) | NextLine::End => self.current = None,
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<StoredEntry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The number of entries.
    pub entries: u64,
    /// The last of them.
    pub head: Head,
}

/// Writes the lines of all segments, byte by byte as they are stored, and as the last line the head: `{"head": "SEQ:HEX"}`.
///
/// # Errors
/// The log cannot be read, or the output cannot be written.
pub fn export(directory: &Path, to: &mut impl Write) -> Result<Exported, ReadError> {
    let mut exported = Exported { entries: 0, head: Head::EMPTY };
    for segment in list(directory)? {
        let io = |source| ReadError::Io { path: segment.path.clone(), source };
        let mut lines = Lines::open(&segment.path).map_err(io)?;
        loop {
            let place = Place { segment: segment.name(), line: lines.number + 1 };
            match lines.next().map_err(io)? {
                NextLine::Complete(line) => {
                    exported.head = head_of(line).ok_or(Damage::Malformed { place })?;
                    exported.entries += 1;
                    to.write_all(line).and_then(|()| to.write_all(b"\n")).map_err(output)?;
                }
                NextLine::TooLong => return Err(Damage::Malformed { place }.into()),
                NextLine::Incomplete(_) | NextLine::End => break,
            }
        }
    }
    let head = serde_json::json!({ "head": exported.head.to_string() });
    writeln!(to, "{head}").and_then(|()| to.flush()).map_err(output)?;
    Ok(exported)
}

/// The head of the log in a directory, as its last line says it.
///
/// # Errors
/// The log cannot be read.
pub fn head(directory: &Path) -> Result<Head, ReadError> {
    // The last segment may have no complete line yet.
    for segment in list(directory)?.into_iter().rev() {
        let io = |source| ReadError::Io { path: segment.path.clone(), source };
        let (mut lines, mut last) = (Lines::open(&segment.path).map_err(io)?, Vec::new());
        while let NextLine::Complete(line) = lines.next().map_err(io)? {
            last.clear();
            last.extend_from_slice(line);
        }
        if !last.is_empty() {
            let place = Place { segment: segment.name(), line: lines.number - 1 };
            return Ok(head_of(&last).ok_or(Damage::Malformed { place })?);
        }
    }
    Ok(Head::EMPTY)
}

fn output(source: io::Error) -> ReadError {
    ReadError::Io { path: PathBuf::from("output"), source }
}

/// The head that a line is, as it says itself.
fn head_of(line: &[u8]) -> Option<Head> {
    let stored: StoredEntry = serde_json::from_slice(line).ok()?;
    Some(Head { sequence: stored.sequence, mac: Mac::parse(stored.mac.as_bytes())? })
}

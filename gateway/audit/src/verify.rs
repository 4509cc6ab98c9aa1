//! Verifies a log: that each line is what was written, and that none is missing.

use std::io;
use std::path::{Path, PathBuf};

use crate::chain::{Head, Mac};
use crate::damage::{Damage, Place};
use crate::key::Key;
use crate::line::Unverified;
use crate::segments::{self, Lines, NextLine, Segment};

/// A log without damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The number of its first entry: more than 1, if older segments are elsewhere. `None`: it has no entry.
    pub first: Option<u64>,
    /// Its last entry.
    pub head: Head,
    /// The number of its segments.
    pub segments: usize,
    /// The bytes after the last complete line: a process is writing it, or was when it ended.
    pub incomplete_bytes: u64,
}

/// A log is not as it was written, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It was changed.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Verifies the log in a directory, also while a process writes it. `anchored` is a head that was kept elsewhere: with it, a
/// cut at the end is found. `progress` gets the bytes that were read, again and again.
///
/// # Errors
/// The first damage that is found.
pub fn verify(
    directory: &Path,
    key: &Key,
    anchored: Option<Head>,
    mut progress: impl FnMut(u64),
) -> Result<Verified, VerifyError> {
    let list = segments::list(directory).map_err(|source| VerifyError::Io { path: directory.to_owned(), source })?;
    check_numbers(directory, &list)?;
    let mut chain = Chain::new(key, anchored);
    let mut incomplete_bytes = 0;
    for (at, segment) in list.iter().enumerate() {
        let end = chain.follow(segment, &mut progress)?;
        let is_last = at + 1 == list.len();
        if !is_last && (end.incomplete > 0 || end.lines == 0) {
            return Err(Damage::Incomplete { segment: segment.name() }.into());
        }
        incomplete_bytes = end.incomplete;
    }
    let (first, head) = chain.finish()?;
    Ok(Verified { first, head, segments: list.len(), incomplete_bytes })
}

/// Finds a segment that is missing between others.
pub(crate) fn check_numbers(directory: &Path, list: &[Segment]) -> Result<(), Damage> {
    let gap = list.windows(2).find(|pair| pair[1].number != pair[0].number + 1);
    let Some(pair) = gap else { return Ok(()) };
    let missing = Segment::path(directory, pair[0].number + 1);
    Err(Damage::MissingSegment { segment: segments::name_of(&missing) })
}

/// Follows the lines of segments.
pub(crate) struct Chain<'k> {
    key: &'k Key,
    anchored: Option<Head>,
    first: Option<u64>,
    /// The last line. `None`: the next one says itself what it follows.
    head: Option<Head>,
}

/// The end of a segment.
pub(crate) struct SegmentEnd {
    pub(crate) lines: u64,
    /// The bytes of the complete lines.
    pub(crate) bytes: u64,
    /// The bytes after them.
    pub(crate) incomplete: u64,
}

impl<'k> Chain<'k> {
    pub(crate) fn new(key: &'k Key, anchored: Option<Head>) -> Self {
        Self { key, anchored, first: None, head: None }
    }

    /// Follows the lines of the next segment.
    pub(crate) fn follow(
        &mut self,
        segment: &Segment,
        progress: &mut impl FnMut(u64),
    ) -> Result<SegmentEnd, VerifyError> {
        let io = |source| VerifyError::Io { path: segment.path.clone(), source };
        let mut lines = Lines::open(&segment.path).map_err(io)?;
        loop {
            let number = lines.number + 1;
            let place = || Place { segment: segment.name(), line: number };
            let before = lines.bytes;
            match lines.next().map_err(io)? {
                NextLine::Complete(line) => {
                    let line = Unverified::parse(line).ok_or_else(|| Damage::Malformed { place: place() })?;
                    self.take(&line, number == 1, place)?;
                }
                NextLine::TooLong => return Err(Damage::Malformed { place: place() }.into()),
                NextLine::Incomplete(incomplete) => {
                    progress(incomplete);
                    return Ok(SegmentEnd { lines: number - 1, bytes: before, incomplete });
                }
                NextLine::End => return Ok(SegmentEnd { lines: number - 1, bytes: before, incomplete: 0 }),
            }
            progress(lines.bytes - before);
        }
    }

    /// Takes the next line.
    fn take(&mut self, line: &Unverified<'_>, begins_segment: bool, place: impl Fn() -> Place) -> Result<(), Damage> {
        let head = match (self.head, line.previous) {
            (Some(head), previous) if previous.is_some() == begins_segment => head,
            // The hash of the line shows below whether it says the truth.
            (None, Some(previous)) => Head { sequence: line.sequence.saturating_sub(1), mac: previous },
            (_, None) => return Err(Damage::NoBeginning { place: place() }),
            // Only the first line of a segment says what it follows.
            (Some(_), Some(_)) => return Err(Damage::Malformed { place: place() }),
        };
        if line.sequence != head.sequence + 1 {
            return Err(Damage::OutOfOrder { place: place(), expected: head.sequence + 1, found: line.sequence });
        }
        let is_linked = line.previous.is_none_or(|previous| previous == head.mac);
        let begins_log = head.sequence == 0;
        let changed = || Damage::Changed { place: place(), sequence: line.sequence };
        if !is_linked || begins_log && head.mac != Mac::ROOT {
            return Err(changed());
        }
        let next = line.verified(self.key, head.mac).ok_or_else(changed)?;
        if self.first.is_none() {
            self.first = Some(line.sequence);
            self.check_anchor(head)?;
        }
        self.check_anchor(next)?;
        self.head = Some(next);
        Ok(())
    }

    fn check_anchor(&self, head: Head) -> Result<(), Damage> {
        match self.anchored {
            Some(anchored) if anchored.sequence == head.sequence && anchored != head => {
                Err(Damage::OtherHistory { anchored })
            }
            _ => Ok(()),
        }
    }

    /// The first entry and the head.
    pub(crate) fn finish(self) -> Result<(Option<u64>, Head), Damage> {
        let head = self.head.unwrap_or(Head::EMPTY);
        if let Some(anchored) = self.anchored {
            if anchored.sequence > head.sequence {
                return Err(Damage::Cut { head, anchored });
            }
            if let Some(first) = self.first.filter(|first| anchored.sequence + 1 < *first) {
                return Err(Damage::AnchorArchived { first, anchored });
            }
            if self.first.is_none() {
                // The log has no line with which the anchored head could be compared.
                return if anchored == head { Ok((None, head)) } else { Err(Damage::OtherHistory { anchored }) };
            }
        }
        Ok((self.first, head))
    }
}

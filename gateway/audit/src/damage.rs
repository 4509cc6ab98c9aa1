//! What is wrong with a log.

use std::fmt;

use crate::chain::Head;

/// A line of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of the file.
    pub segment: String,
    /// The number of the line, from 1.
    pub line: u64,
}

/// What is wrong with a log: the first place that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A line is no entry.
    #[error("{place}: this is no entry of the log: the line was changed or added")]
    Malformed {
        /// Where.
        place: Place,
    },
    /// The hash of a line is not that of its content and of the lines before.
    #[error("{place}: entry {sequence} is not what was written, or was written with another key")]
    Changed {
        /// Where.
        place: Place,
        /// The number that the line has.
        sequence: u64,
    },
    /// A line has another number than the next one.
    #[error(
        "{place}: entry {expected} is expected here, and there is entry {found}: lines were removed, added or moved"
    )]
    OutOfOrder {
        /// Where.
        place: Place,
        /// The number after that of the line before.
        expected: u64,
        /// The number that the line has.
        found: u64,
    },
    /// The first line of a segment does not say what it follows.
    #[error("{place}: this is not the beginning of a segment: lines before it were removed")]
    NoBeginning {
        /// Where.
        place: Place,
    },
    /// There is a later segment, but not this one.
    #[error("{segment} is missing, and there are later ones: put it back; only the oldest segments may be elsewhere")]
    MissingSegment {
        /// The name of the file.
        segment: String,
    },
    /// A segment before the last one ends in the middle of a line, or has none.
    #[error("{segment} was cut: its last line is not complete, and there are later segments")]
    Incomplete {
        /// The name of the file.
        segment: String,
    },
    /// The log ends before the anchored head.
    #[error("the log ends with entry {}, but had entry {}: its end was cut", head.sequence, anchored.sequence)]
    Cut {
        /// The head of the log.
        head: Head,
        /// The head that was kept elsewhere.
        anchored: Head,
    },
    /// The entry of the anchored head has another hash.
    #[error(
        "entry {} is another one than that of the anchored head: the log was written anew, or the head is of another log",
        anchored.sequence
    )]
    OtherHistory {
        /// The head that was kept elsewhere.
        anchored: Head,
    },
    /// The entry of the anchored head is in a segment that is not there.
    #[error("the log begins with entry {first}, after that of the anchored head ({}): put older segments back, or \
        take a later head", anchored.sequence)]
    AnchorArchived {
        /// The number of the first entry.
        first: u64,
        /// The head that was kept elsewhere.
        anchored: Head,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} line {}", self.segment, self.line)
    }
}

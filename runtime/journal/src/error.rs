//! Errors, one enum per operation.
//!
//! Reasons are texts rather than sources: an error is cloned for all submitters of a batch and all readers of a shared
//! load, kept in the health, and compared in tests. `sqlx::Error` allows none of that.

use dormouse_kernel::{AggregateRef, Position, Version};
use dormouse_storage::OutOfRange;

/// Why an append was refused. None of its events is in the journal, and none will be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The aggregate has another version than expected. A retry needs a new decision of the aggregate.
    #[error("the aggregate has version {actual}, expected was {expected}")]
    VersionConflict {
        /// The version that the append expected.
        expected: Version,
        /// The version that the journal has.
        actual: Version,
    },
    /// The aggregate has a command with this key already.
    #[error("a command with this key made the events from version {first}")]
    KnownKey {
        /// The version of the first event of that command.
        first: Version,
    },
    /// An append before this one in its append session failed. A retry needs a new decision of the aggregate.
    #[error("an append that this one builds on failed")]
    PredecessorFailed,
    /// Another writer has taken the journal over. No retry through this journal can succeed.
    #[error("another writer has taken over the journal")]
    Fenced,
    /// The store cannot take it now. A retry later may succeed.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
    /// The store has no room. A retry succeeds once there is some.
    #[error("the journal has no room: {0}")]
    Full(String),
    /// The append has no events, or more than a batch holds. A retry cannot help.
    #[error("an append holds 1 to {limit} events, this one {events}")]
    WrongSize {
        /// How many events the append has.
        events: usize,
        /// How many events an append may have.
        limit: usize,
    },
    /// The journal has been closed.
    #[error("the journal is closed")]
    Closed,
}

/// Why a commit failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The epoch is no longer in force. Nothing was committed.
    #[error("another writer has taken over the journal")]
    Fenced,
    /// Certainly nothing was committed.
    #[error("not committed: {0}")]
    Refused(String),
    /// Certainly nothing was committed, because there is no room.
    #[error("not committed: {0}")]
    Full(String),
    /// The commit may or may not have happened. To know it, acquire the journal again and read the log.
    #[error("the outcome of the commit is unknown: {0}")]
    Unknown(String),
}

/// Why a store could not do anything but a commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another writer owns the journal.
    #[error("another writer has taken over the journal")]
    Fenced,
    /// The store does not answer, or not now.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
    /// The store has no room.
    #[error("the journal has no room: {0}")]
    Full(String),
    /// What is stored is not what was written.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
}

/// Why events could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store does not answer, or not now. A retry may succeed.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
    /// The events are not what was written: a version is missing, or the hash chain is broken.
    #[error("the events of {aggregate} are damaged at version {version} (position {position}): {problem}")]
    Damaged {
        /// The aggregate of the events.
        aggregate: AggregateRef,
        /// The first version that is wrong.
        version: Version,
        /// The position of that version, or where it was expected.
        position: Position,
        /// What is wrong.
        problem: &'static str,
    },
}

impl From<dormouse_storage::Error> for StoreError {
    fn from(error: dormouse_storage::Error) -> Self {
        match error {
            dormouse_storage::Error::Unavailable(reason) => Self::Unavailable(reason),
            dormouse_storage::Error::Full(reason) => Self::Full(reason),
            dormouse_storage::Error::Damaged(reason) => Self::Damaged(reason),
        }
    }
}

impl From<OutOfRange> for StoreError {
    fn from(error: OutOfRange) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Fenced => Self::Unavailable("another writer has taken over the journal".to_owned()),
            StoreError::Unavailable(reason) | StoreError::Full(reason) | StoreError::Damaged(reason) => {
                Self::Unavailable(reason)
            }
        }
    }
}

/// Why a journal could not be opened. Each message is one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The journal cannot be reached, created or written.
    #[error("cannot open the journal at {place}: {reason}")]
    Unreachable {
        /// The path, or the URL without its password.
        place: String,
        /// The reason that the system reported.
        reason: String,
    },
    /// The place holds something else.
    #[error("{place} is not a Dormouse journal: {reason}")]
    Foreign {
        /// The path, or the URL without its password.
        place: String,
        /// The reason to think so.
        reason: String,
    },
    /// A newer program wrote the journal.
    #[error(
        "the journal at {place} has schema version {found}, this binary knows it up to {known}: use a newer dormouse"
    )]
    Newer {
        /// The path, or the URL without its password.
        place: String,
        /// The schema version of the journal.
        found: i64,
        /// The latest schema version that this program knows.
        known: i64,
    },
}

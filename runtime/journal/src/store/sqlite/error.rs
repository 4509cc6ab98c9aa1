//! What SQLite's errors mean for the journal.

use dormouse_storage::sqlite::error::{BUSY, CONSTRAINT, FULL, MISMATCH, READONLY, TOOBIG, classify, primary_code};
pub(super) use dormouse_storage::sqlite::error::{is_busy, is_damage, is_missing, is_not_a_database, reason};
use sqlx::error::ErrorKind;

use crate::error::{CommitError, StoreError};

/// The error of anything but a commit to the log.
pub(super) fn store(error: sqlx::Error) -> StoreError {
    classify(error).into()
}

/// The error of the append statement.
///
/// It is `Refused` or `Full` only where SQLite cannot have written a whole commit: it never got the write lock, or gave
/// up before the last frame of the WAL. That holds for a full disk too: with the default VFS (`POWERSAFE_OVERWRITE`)
/// nothing is written after the commit frame, and half a frame fails its checksum. An I/O error may come from the sync
/// after a complete commit, and so may every other error.
pub(super) fn commit(error: &sqlx::Error) -> CommitError {
    if error.as_database_error().is_some_and(|error| error.kind() == ErrorKind::UniqueViolation) {
        // The position exists already, so another owner has appended.
        return CommitError::Fenced;
    }
    match primary_code(error) {
        Some(FULL) => CommitError::Full(reason(error)),
        Some(BUSY | READONLY | TOOBIG | CONSTRAINT | MISMATCH) => CommitError::Refused(reason(error)),
        _ => CommitError::Unknown(reason(error)),
    }
}

/// The error of a value in a row that no version of Dormouse wrote.
pub(super) fn damaged(what: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(what.to_string())
}

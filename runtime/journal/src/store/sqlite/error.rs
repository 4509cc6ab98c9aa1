//! What SQLite's errors mean here, in one place.

use sqlx::error::ErrorKind;

use crate::error::{CommitError, StoreError};

/// The primary result codes that are told apart (<https://sqlite.org/rescode.html>).
const BUSY: i32 = 5;
const READONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// The low byte of an extended result code is its primary code.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// The file is there, but its content is not what was written. (Where one row is asked for, it is always there, and so
/// are the tables: an empty file has none.)
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::RowNotFound)
        || matches!(primary_code(error), Some(CORRUPT | NOTADB))
        || lacks_table(error)
}

/// SQLite has no code of its own for it.
fn lacks_table(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().starts_with("no such table"))
}

/// There is no file.
pub(super) fn is_missing(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(CANTOPEN)
}

/// The file is not a database at all.
pub(super) fn is_not_a_database(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(NOTADB)
}

/// Another connection holds the lock that is needed.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(BUSY)
}

/// What to tell a human: SQLite's own words if it said something.
pub(super) fn reason(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(database) => match primary_code(error) {
            Some(READONLY) => "it is not writable".to_owned(),
            Some(BUSY) => "another process holds its lock".to_owned(),
            Some(FULL) => "the disk is full".to_owned(),
            _ => database.message().to_owned(),
        },
        None => error.to_string(),
    }
}

/// The error of anything but a commit to the log.
#[must_use]
pub fn store(error: sqlx::Error) -> StoreError {
    match primary_code(&error) {
        _ if is_damage(&error) => StoreError::Damaged(reason(&error)),
        Some(FULL) => StoreError::Full(reason(&error)),
        _ => StoreError::Unavailable(reason(&error)),
    }
}

/// The error of the append statement.
///
/// `Refused` or `Full` only where SQLite cannot have written a whole commit: it never got the write lock, or gave up before the
/// last frame of the WAL. That holds for a full disk too: with the default VFS (`POWERSAFE_OVERWRITE`) nothing is
/// written behind the commit frame, and half a frame fails its checksum. An I/O error may stem from the sync that
/// follows a complete commit, and so may anything that is not named here.
pub(super) fn commit(error: &sqlx::Error) -> CommitError {
    if error.as_database_error().is_some_and(|error| error.kind() == ErrorKind::UniqueViolation) {
        // The position is taken, so somebody else has moved the log on.
        return CommitError::Fenced;
    }
    match primary_code(error) {
        Some(FULL) => CommitError::Full(reason(error)),
        Some(BUSY | READONLY | TOOBIG | CONSTRAINT | MISMATCH) => CommitError::Refused(reason(error)),
        _ => CommitError::Unknown(reason(error)),
    }
}

/// Bytes or numbers in a row that no version of this binary wrote.
pub(super) fn damaged(what: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(what.to_string())
}

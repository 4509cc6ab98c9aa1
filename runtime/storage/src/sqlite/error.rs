//! What SQLite's errors mean: the one place where its result codes (<https://sqlite.org/rescode.html>) are read.

use crate::error::Error;

/// Another connection holds the lock that is needed.
pub const BUSY: i32 = 5;
/// The file cannot be written.
pub const READONLY: i32 = 8;
/// The content is malformed.
pub const CORRUPT: i32 = 11;
/// The disk is full.
pub const FULL: i32 = 13;
/// A value or a statement is too large.
pub const TOOBIG: i32 = 18;
/// A constraint forbids the row.
pub const CONSTRAINT: i32 = 19;
/// A value has another type than its column.
pub const MISMATCH: i32 = 20;
/// The file cannot be opened.
pub const CANTOPEN: i32 = 14;
/// The file is not a database.
pub const NOTADB: i32 = 26;

/// The primary code of an error, which is the low byte of its extended result code.
#[must_use]
pub fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// The file exists, but its content is not what was written. A row that is missing counts as damage, since statements
/// for one row ask for a row that always exists. So does a missing table, since an empty file has none.
#[must_use]
pub fn is_damage(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::RowNotFound)
        || matches!(primary_code(error), Some(CORRUPT | NOTADB))
        || lacks_table(error)
}

/// SQLite has no result code for a missing table.
fn lacks_table(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().starts_with("no such table"))
}

/// There is no such file.
#[must_use]
pub fn is_missing(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(CANTOPEN)
}

/// The file is not a database at all.
#[must_use]
pub fn is_not_a_database(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(NOTADB)
}

/// Another connection holds the lock that is needed.
#[must_use]
pub fn is_busy(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(BUSY)
}

/// The reason to show to an operator: SQLite's own message, if it has one.
#[must_use]
pub fn reason(error: &sqlx::Error) -> String {
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

/// What the error of a statement means for its caller. Commits of the journal have a table of their own.
#[must_use]
pub fn classify(error: sqlx::Error) -> Error {
    match primary_code(&error) {
        _ if is_damage(&error) => Error::Damaged(reason(&error)),
        Some(FULL) => Error::Full(reason(&error)),
        _ => Error::Unavailable(reason(&error)),
    }
}

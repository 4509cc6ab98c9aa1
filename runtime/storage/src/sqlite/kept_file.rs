//! Kept files: files with content that no other file has.
//!
//! Dormouse never replaces such a file. It refuses one that is damaged, foreign or newer, and leaves it as it is: an
//! operator decides what becomes of it.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;

use super::opening::{self, Problem};
use super::schema::Schema;
use crate::error::Error;

/// Opens a kept file, or creates it if it is missing. `without_it` says what happens if an operator moves the file away.
///
/// # Errors
/// If the file is damaged or not ours, or cannot be opened or made now.
pub async fn open(
    options: &SqliteConnectOptions,
    schema: &Schema,
    without_it: &str,
) -> Result<SqliteConnection, Error> {
    let file = options.get_filename().display();
    match opening::open(options, schema).await {
        Ok(connection) => Ok(connection),
        Err(Problem::Failed(failure)) => Err(failure),
        Err(Problem::NotOurs(reason)) => Err(Error::Unavailable(format!(
            "{file}: {reason}; it is left as it is: choose another directory, or move it away: {without_it}"
        ))),
        Err(Problem::Damaged(reason)) => Err(Error::Damaged(format!(
            "{file}: {reason}; it is left as it is: restore it from a backup, or move it away: {without_it}"
        ))),
    }
}

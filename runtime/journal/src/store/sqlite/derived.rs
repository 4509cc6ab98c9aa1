//! Files that can be made again: whatever is wrong with one, it is deleted and made anew.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tracing::warn;

use super::error;
use super::files;
use super::schema::{Found, Schema};
use crate::error::StoreError;

/// Why a file cannot be used.
enum Problem {
    /// There is something else, or it is damaged: another one has to be made.
    Unfit(String),
    /// It may be fine, but cannot be opened now.
    Failed(StoreError),
}

/// Opens a derived file. One that is not what it should be is replaced by an empty one, after `before_replacing`.
///
/// # Errors
/// If it cannot be opened or made now.
pub async fn open(
    options: SqliteConnectOptions,
    schema: &Schema,
    before_replacing: impl FnOnce(),
) -> Result<SqliteConnection, StoreError> {
    match attempt(&options, schema).await {
        Ok(connection) => Ok(connection),
        Err(Problem::Failed(failure)) => Err(failure),
        Err(Problem::Unfit(reason)) => {
            let file = options.get_filename();
            warn!(file = %file.display(), reason, "a derived file cannot be used and is made anew");
            before_replacing();
            create(options, schema).await
        }
    }
}

/// Replaces a derived file by an empty one.
///
/// # Errors
/// If it cannot be deleted or made now.
pub async fn create(options: SqliteConnectOptions, schema: &Schema) -> Result<SqliteConnection, StoreError> {
    delete(options.get_filename())?;
    match attempt(&options, schema).await {
        Ok(connection) => Ok(connection),
        Err(Problem::Failed(failure)) => Err(failure),
        Err(Problem::Unfit(reason)) => Err(StoreError::Unavailable(reason)),
    }
}

fn delete(file: &Path) -> Result<(), StoreError> {
    files::delete(file)
        .map_err(|failure| StoreError::Unavailable(format!("cannot delete {}: {failure}", file.display())))
}

async fn attempt(options: &SqliteConnectOptions, schema: &Schema) -> Result<SqliteConnection, Problem> {
    let mut connection = options.connect().await.map_err(problem)?;
    let unfit = match schema.inspect(&mut connection).await.map_err(problem)? {
        Found::Ours(version) if version == schema.latest() => return Ok(connection),
        Found::Empty => {
            schema.migrate(&mut connection).await.map_err(problem)?;
            return Ok(connection);
        }
        Found::Ours(version) => format!("it has version {version}, not {}", schema.latest()),
        Found::Foreign(how) => how,
    };
    // Gone before its file goes; what it says no longer matters.
    let _unfit_anyway = connection.close().await;
    Err(Problem::Unfit(unfit))
}

fn problem(failure: sqlx::Error) -> Problem {
    if error::is_damage(&failure) {
        Problem::Unfit(error::reason(&failure))
    } else {
        Problem::Failed(error::store(failure))
    }
}

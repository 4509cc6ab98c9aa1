//! Files that can be made again: one of ours that is damaged is put aside and made anew. What is not ours is not touched: a file
//! of another application, of a newer version of Dormouse, or one that bears no mark of ours.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tracing::warn;

use super::error;
use super::files;
use super::schema::{Found, Schema};
use crate::error::Error;

/// What the header of an SQLite database begins with, how long it is, and where the application id stands in it.
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;
const APPLICATION_ID: Range<usize> = 68..72;

/// Why a file cannot be used.
enum Problem {
    /// It is damaged: if it is ours, another one has to be made.
    Damaged(String),
    /// It is not ours to replace.
    NotOurs(String),
    /// It may be fine, but cannot be opened now.
    Failed(Error),
}

/// Opens a derived file. One that is damaged is put aside and replaced by an empty one, after `before_replacing`.
///
/// # Errors
/// If it cannot be opened or made now, or is not ours.
pub async fn open(
    options: SqliteConnectOptions,
    schema: &Schema,
    before_replacing: impl FnOnce(),
) -> Result<SqliteConnection, Error> {
    match attempt(&options, schema).await {
        Ok(connection) => Ok(connection),
        Err(Problem::Failed(failure)) => Err(failure),
        Err(Problem::NotOurs(reason)) => Err(refused(options.get_filename(), &reason)),
        Err(Problem::Damaged(reason)) => {
            let file = options.get_filename();
            if !is_ours(file, schema)? {
                return Err(refused(file, &format!("it is not a file of Dormouse ({reason})")));
            }
            warn!(file = %file.display(), reason, "a derived file is damaged: it is put aside and made anew");
            before_replacing();
            create(options, schema).await
        }
    }
}

/// Replaces a derived file of ours by an empty one, and keeps it under the name `<file>.damaged`, in place of an earlier one.
///
/// # Errors
/// If it cannot be put aside or made now.
pub async fn create(options: SqliteConnectOptions, schema: &Schema) -> Result<SqliteConnection, Error> {
    let file = options.get_filename();
    files::put_aside(file)
        .map_err(|failure| Error::Unavailable(format!("cannot put {} aside: {failure}", file.display())))?;
    match attempt(&options, schema).await {
        Ok(connection) => Ok(connection),
        Err(Problem::Failed(failure)) => Err(failure),
        Err(Problem::Damaged(reason) | Problem::NotOurs(reason)) => Err(Error::Unavailable(reason)),
    }
}

fn refused(file: &Path, reason: &str) -> Error {
    let file = file.display();
    Error::Unavailable(format!(
        "{file}: {reason}; it is left as it is: move it away if it is of no use (Dormouse makes its own anew), or choose \
         another directory"
    ))
}

async fn attempt(options: &SqliteConnectOptions, schema: &Schema) -> Result<SqliteConnection, Problem> {
    let mut is_latest = false;
    if options.get_filename().exists() {
        // Without our settings, and only to read: setting the journal mode would change a file of somebody else's, and so would
        // closing one that a crash has left with a WAL.
        let plain = SqliteConnectOptions::new().filename(options.get_filename()).read_only(true);
        let plain = plain.busy_timeout(files::BUSY_TIMEOUT);
        let mut inspector = plain.disable_statement_logging().connect().await.map_err(problem)?;
        let found = schema.inspect(&mut inspector).await;
        // It has looked, and changed nothing.
        let _closed = inspector.close().await;
        let found = found.map_err(problem)?;
        is_latest = found == Found::Ours(schema.latest());
        refuse_what_is_not_ours(found, schema)?;
    }
    let mut connection = options.connect().await.map_err(problem)?;
    if !is_latest {
        schema.migrate(&mut connection).await.map_err(problem)?;
    }
    Ok(connection)
}

fn refuse_what_is_not_ours(found: Found, schema: &Schema) -> Result<(), Problem> {
    let known = schema.latest();
    match found {
        Found::Foreign(how) => Err(Problem::NotOurs(how)),
        Found::Ours(version) if version > known => Err(Problem::NotOurs(format!(
            "a newer version of Dormouse wrote it (version {version}, this one knows {known}): use that one"
        ))),
        Found::Empty | Found::Ours(_) => Ok(()),
    }
}

/// Whether a file that SQLite cannot read bears our mark: the application id in its header
/// (<https://sqlite.org/fileformat.html>), or the beginning of a header that was cut.
fn is_ours(file: &Path, schema: &Schema) -> Result<bool, Error> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let read = File::open(file).and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut header));
    match read {
        // A loss of power may leave zeros, which are nobody's.
        Ok(_) if header.iter().all(|byte| *byte == 0) => Ok(true),
        Ok(_) if header.len() == HEADER_BYTES => Ok(header[APPLICATION_ID] == schema.application_id_bytes()),
        Ok(_) => Ok(header.starts_with(MAGIC) || MAGIC.starts_with(&header)),
        Err(failure) if failure.kind() == ErrorKind::NotFound => Ok(true),
        Err(failure) => Err(Error::Unavailable(format!("{}: {failure}", file.display()))),
    }
}

fn problem(failure: sqlx::Error) -> Problem {
    if error::is_damage(&failure) {
        Problem::Damaged(error::reason(&failure))
    } else {
        Problem::Failed(error::classify(failure))
    }
}

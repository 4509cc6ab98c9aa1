//! Derived files: files that can be made again from other data.
//!
//! A derived file of ours that is damaged is put aside and replaced by an empty one. A file that is not ours is left
//! alone: one of another application, of a newer version of Dormouse, or without our mark in its header.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tracing::warn;

use super::error;
use super::files;
use super::schema::{FileIdentity, Schema};
use crate::error::Error;

/// The beginning of an SQLite database's header, the length of the header, and the bytes of the application id in it.
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;
const APPLICATION_ID: Range<usize> = 68..72;

/// Why a file cannot be opened.
enum Problem {
    /// The file is damaged. If it is ours, it has to be replaced.
    Damaged(String),
    /// The file is not ours, so it must not be replaced.
    NotOurs(String),
    /// The file may be whole, but cannot be opened now.
    Failed(Error),
}

/// Opens a derived file. Calls `before_replacing` and replaces the file by an empty one if it is damaged.
///
/// # Errors
/// If the file cannot be opened or made now, or is not ours.
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
            warn!(file = %file.display(), reason, "a derived file is damaged: it is put aside and made again");
            before_replacing();
            create(options, schema).await
        }
    }
}

/// Replaces a derived file of ours by an empty one. The old file is kept as `<file>.damaged`, in place of an earlier
/// one.
///
/// # Errors
/// If the file cannot be put aside or made now.
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
        "{file}: {reason}; it is left as it is: move it away if it is of no use (Dormouse makes its own again), or choose \
         another directory"
    ))
}

async fn attempt(options: &SqliteConnectOptions, schema: &Schema) -> Result<SqliteConnection, Problem> {
    let mut is_latest = false;
    if options.get_filename().exists() {
        // Read-only and without our settings: setting the journal mode would change a file of another application, and
        // so would closing a file that a crash has left with a WAL.
        let plain = SqliteConnectOptions::new().filename(options.get_filename()).read_only(true);
        let plain = plain.busy_timeout(files::BUSY_TIMEOUT);
        let mut inspector = plain.disable_statement_logging().connect().await.map_err(problem)?;
        let found = schema.inspect(&mut inspector).await;
        // The inspector has changed nothing, so a failed close loses nothing.
        let _closed = inspector.close().await;
        let found = found.map_err(problem)?;
        is_latest = found == FileIdentity::Ours(schema.latest());
        refuse_foreign(found, schema)?;
    }
    let mut connection = options.connect().await.map_err(problem)?;
    if !is_latest {
        schema.migrate(&mut connection).await.map_err(problem)?;
    }
    Ok(connection)
}

fn refuse_foreign(found: FileIdentity, schema: &Schema) -> Result<(), Problem> {
    let known = schema.latest();
    match found {
        FileIdentity::Foreign(how) => Err(Problem::NotOurs(how)),
        FileIdentity::Ours(version) if version > known => Err(Problem::NotOurs(format!(
            "a newer version of Dormouse wrote it (version {version}, this one knows {known}): use that one"
        ))),
        FileIdentity::Empty | FileIdentity::Ours(_) => Ok(()),
    }
}

/// Whether a file that SQLite cannot read has our mark: the application id in its header
/// (<https://sqlite.org/fileformat.html>), or the beginning of a header that was cut off.
fn is_ours(file: &Path, schema: &Schema) -> Result<bool, Error> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let read = File::open(file).and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut header));
    match read {
        // A loss of power may leave zeros, which no application wrote.
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

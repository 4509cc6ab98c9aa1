//! Derived files: files that can be made again from other data.
//!
//! A derived file of ours that is damaged is put aside and replaced by an empty one. A file that is not ours is left
//! alone: one of another application, of a newer version of Dormouse, or without our mark in its header.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use tracing::warn;

use super::files;
use super::opening::{self, Problem};
use super::schema::Schema;
use crate::error::Error;

/// The beginning of an SQLite database's header, the length of the header, and the bytes of the application id in it.
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;
const APPLICATION_ID: Range<usize> = 68..72;

/// Opens a derived file. Calls `before_replacing` and replaces the file by an empty one if it is damaged.
///
/// # Errors
/// If the file cannot be opened or made now, or is not ours.
pub async fn open(
    options: SqliteConnectOptions,
    schema: &Schema,
    before_replacing: impl FnOnce(),
) -> Result<SqliteConnection, Error> {
    match opening::open(&options, schema).await {
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
    match opening::open(&options, schema).await {
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

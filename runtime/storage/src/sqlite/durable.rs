//! What to do after a commit that failed.

use sqlx::SqliteConnection;

use super::error::classify;
use crate::error::Error;

/// Makes visible frames of a WAL durable, by copying them into the database and syncing that.
///
/// After a failed sync the system may count pages as written that are not on the disk, and a later sync would not write
/// them: frames that can be read from the WAL may be lost with the power.
///
/// # Errors
/// If the WAL cannot be copied now.
pub async fn make_durable(connection: &mut SqliteConnection) -> Result<(), Error> {
    let checkpoint = sqlx::query_as("PRAGMA wal_checkpoint(FULL)").fetch_one(connection).await;
    let (busy, _in_wal, _copied): (i64, i64, i64) = checkpoint.map_err(classify)?;
    if busy == 0 { Ok(()) } else { Err(Error::Unavailable("the write-ahead log is busy".to_owned())) }
}

//! The snapshots, in a file of their own: losing it loses nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dormouse_kernel::{AggregateRef, Version};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, SqliteConnection};
use tracing::warn;

use super::files::Files;
use super::readers::Readers;
use super::row::{chain, column, signed, timestamp, unsigned};
use super::{derived, error, schema};
use crate::error::StoreError;
use crate::snapshot::{AsOf, Snapshot};
use crate::store::Retention;

/// Keeps snapshots, and finds them.
#[derive(Debug)]
pub(super) struct Snapshots {
    files: Files,
    retention: Retention,
    readers: Arc<Readers>,
    /// Out of here while it is in use, and dropped instead of put back after an error.
    writer: Mutex<Option<SqliteConnection>>,
    /// The file is to be replaced at the next write.
    damaged: AtomicBool,
}

const SAVE: &str = "INSERT OR REPLACE INTO snapshots
     (aggregate_type, aggregate_id, version, chain, recorded_at, snapshot_version, body, taken_at, checksum)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// All but the latest are dropped that are too old, or older than the last of the newest ?4.
const DROP_SUPERFLUOUS: &str = "DELETE FROM snapshots WHERE aggregate_type = ?1 AND aggregate_id = ?2
     AND version < (SELECT max(version) FROM snapshots WHERE aggregate_type = ?1 AND aggregate_id = ?2)
     AND (taken_at < ?3 OR version < (
        SELECT version FROM snapshots WHERE aggregate_type = ?1 AND aggregate_id = ?2
        ORDER BY version DESC LIMIT 1 OFFSET ?4 - 1
     ))";

const FIND: &str = "SELECT version, chain, recorded_at, snapshot_version, body, taken_at, checksum FROM snap.snapshots
     WHERE aggregate_type = ? AND aggregate_id = ? AND version <= ? AND recorded_at <= ?
     ORDER BY version DESC LIMIT 1";

impl Snapshots {
    pub(super) fn new(files: Files, retention: Retention, readers: Arc<Readers>) -> Self {
        Self { files, retention, readers, writer: Mutex::default(), damaged: AtomicBool::new(false) }
    }

    /// Makes sure that there is a file to read and write.
    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        let connection = derived::open(self.files.snapshot_writer(), &schema::SNAPSHOTS, || ()).await?;
        self.put_back(connection);
        Ok(())
    }

    /// See [`Store::save_snapshots`](crate::Store::save_snapshots).
    pub(super) async fn save(&self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        let mut connection = self.writer().await?;
        match self.try_save(&mut connection, snapshots).await {
            Ok(()) => {
                self.put_back(connection);
                Ok(())
            }
            Err(failure) => {
                if error::is_damage(&failure) {
                    self.damaged.store(true, Ordering::Release);
                }
                Err(error::store(failure))
            }
        }
    }

    async fn try_save(&self, connection: &mut SqliteConnection, snapshots: &[Snapshot]) -> Result<(), sqlx::Error> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for snapshot in snapshots {
            sqlx::query(SAVE)
                .bind(snapshot.aggregate.aggregate_type.shared())
                .bind(snapshot.aggregate.id.shared())
                .bind(signed(snapshot.version.0))
                .bind(snapshot.chain.0.as_slice())
                .bind(snapshot.recorded_at.as_microsecond())
                .bind(i64::from(snapshot.snapshot_version))
                .bind(snapshot.body.as_slice())
                .bind(snapshot.taken_at.as_microsecond())
                .bind(snapshot.checksum().0.as_slice())
                .execute(&mut *transaction)
                .await?;
            sqlx::query(DROP_SUPERFLUOUS)
                .bind(snapshot.aggregate.aggregate_type.shared())
                .bind(snapshot.aggregate.id.shared())
                .bind(self.retention.oldest(snapshot.taken_at).as_microsecond())
                .bind(signed(self.retention.keep_count as u64))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// See [`Store::snapshot`](crate::Store::snapshot).
    pub(super) async fn find(&self, aggregate: &AggregateRef, as_of: AsOf) -> Result<Option<Snapshot>, StoreError> {
        let (mut last, recorded) = match as_of {
            AsOf::Now => (i64::MAX, i64::MAX),
            AsOf::Version(version) => (signed(version.0), i64::MAX),
            AsOf::Time(time) => (i64::MAX, time.as_microsecond()),
        };
        let mut reader = self.readers.borrow().await?;
        loop {
            let row = sqlx::query(FIND)
                .bind(aggregate.aggregate_type.shared())
                .bind(aggregate.id.shared())
                .bind(last)
                .bind(recorded)
                .fetch_optional(&mut reader.connection)
                .await;
            let row = match row {
                Ok(row) => row,
                Err(failure) if error::is_damage(&failure) => {
                    warn!(%aggregate, error = error::reason(&failure), "the snapshots are damaged");
                    self.damaged.store(true, Ordering::Release);
                    return Ok(None);
                }
                Err(failure) => return Err(error::store(failure)),
            };
            let Some(row) = row else {
                reader.give_back();
                return Ok(None);
            };
            match read(&row, aggregate) {
                Ok(snapshot) => {
                    reader.give_back();
                    return Ok(Some(snapshot));
                }
                Err(failure) => {
                    let version: i64 = column(&row, 0)?;
                    warn!(%aggregate, version, error = %failure, "a damaged snapshot is skipped");
                    last = version.saturating_sub(1);
                }
            }
        }
    }

    /// Lets go of the file.
    pub(super) async fn close(&self) {
        let taken = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(connection) = taken {
            let _closed_anyway = connection.close().await;
        }
    }

    async fn writer(&self) -> Result<SqliteConnection, StoreError> {
        let kept = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.damaged.swap(false, Ordering::AcqRel) {
            warn!(file = %self.files.snapshots().display(), "the snapshots are damaged and begin anew");
            drop(kept);
            let connection = derived::create(self.files.snapshot_writer(), &schema::SNAPSHOTS).await?;
            self.readers.reopen();
            return Ok(connection);
        }
        match kept {
            Some(connection) => Ok(connection),
            None => derived::open(self.files.snapshot_writer(), &schema::SNAPSHOTS, || ()).await,
        }
    }

    fn put_back(&self, connection: SqliteConnection) {
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }
}

fn read(row: &SqliteRow, aggregate: &AggregateRef) -> Result<Snapshot, StoreError> {
    let snapshot = Snapshot {
        aggregate: aggregate.clone(),
        version: Version(unsigned(column(row, 0)?)?),
        chain: chain(column(row, 1)?)?,
        recorded_at: timestamp(column(row, 2)?)?,
        snapshot_version: u32::try_from(column::<i64>(row, 3)?).map_err(error::damaged)?,
        body: column(row, 4)?,
        taken_at: timestamp(column(row, 5)?)?,
    };
    if snapshot.checksum() == chain(column(row, 6)?)? {
        Ok(snapshot)
    } else {
        Err(error::damaged("its checksum differs"))
    }
}

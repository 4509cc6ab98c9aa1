//! The snapshots, in a file of their own. Losing it loses nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dormouse_kernel::{AggregateId, AggregateRef, AggregateType};
use dormouse_storage::sqlite::derived_file;
use dormouse_storage::{from_sql, to_sql};
use sqlx::{Connection, SqliteConnection};
use tracing::warn;

use super::files::Files;
use super::latest::{self, Latest, SnapshotQuery};
use super::loads::Loads;
use super::readers::Readers;
use super::row::column;
use super::{error, schema};
use crate::error::StoreError;
use crate::snapshot::{AsOf, Snapshot};
use crate::store::Retention;

/// Stores and finds snapshots.
#[derive(Debug)]
pub(super) struct Snapshots {
    files: Files,
    retention: Retention,
    readers: Arc<Readers>,
    /// `None` while it is in use. After an error it is dropped instead of put back.
    writer: Mutex<Option<SqliteConnection>>,
    latest: Latest,
    shared: Loads<Latest>,
    /// Set to replace the file at the next write.
    damaged: Arc<AtomicBool>,
    /// There were no snapshots when this process became their writer, and it has written none since. Snapshots of
    /// another process would not be found, which a cache permits.
    empty: AtomicBool,
}

const SAVE: &str = "INSERT OR REPLACE INTO snapshots
     (aggregate_type, aggregate_id, version, chain, recorded_at, snapshot_version, body, taken_at, checksum)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Drops snapshots that are too old, or not among the newest ?4. Keeps the latest one, and the first of each piece of
/// ?5 versions.
const DROP_SUPERFLUOUS: &str = "DELETE FROM snapshots WHERE aggregate_type = ?1 AND aggregate_id = ?2
     AND version < (SELECT max(version) FROM snapshots WHERE aggregate_type = ?1 AND aggregate_id = ?2)
     AND (taken_at < ?3 OR version < (
        SELECT version FROM snapshots WHERE aggregate_type = ?1 AND aggregate_id = ?2
        ORDER BY version DESC LIMIT 1 OFFSET ?4 - 1
     ))
     AND NOT (version >= ?5 AND version IN (
        SELECT min(version) FROM snapshots WHERE aggregate_type = ?1 AND aggregate_id = ?2 GROUP BY version / ?5
     ))";

/// Ids are never empty, so the empty text sorts before all of them.
const OWNERS: &str = "SELECT DISTINCT aggregate_id FROM snap.snapshots WHERE aggregate_type = ? AND aggregate_id > ?
     ORDER BY aggregate_id LIMIT ?";

const COUNT_OWNERS: &str = "SELECT count(DISTINCT aggregate_id) FROM snap.snapshots WHERE aggregate_type = ?";

impl Snapshots {
    pub(super) fn new(files: Files, retention: Retention, readers: Arc<Readers>) -> Self {
        let damaged = Arc::new(AtomicBool::new(false));
        let latest = Latest::new(Arc::clone(&readers), Arc::clone(&damaged));
        let shared = Loads::new(latest.clone());
        let empty = AtomicBool::new(false);
        Self { files, retention, readers, writer: Mutex::default(), latest, shared, damaged, empty }
    }

    /// Opens or creates the file.
    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        let mut connection = derived_file::open(self.files.snapshot_writer(), &schema::SNAPSHOTS, || ()).await?;
        let any = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM snapshots)").fetch_one(&mut connection).await;
        // An error of this read shows again when a snapshot is read.
        self.empty.store(any.is_ok_and(|any: bool| !any), Ordering::Release);
        self.put_back(connection);
        Ok(())
    }

    /// See [`Store::save_snapshots`](crate::Store::save_snapshots).
    pub(super) async fn save(&self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        self.empty.store(false, Ordering::Release);
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
                .bind(to_sql(snapshot.version.0))
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
                .bind(to_sql(self.retention.keep_count as u64))
                .bind(to_sql(self.retention.sparse_step(snapshot.version).0))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// See [`Store::snapshot`](crate::Store::snapshot).
    pub(super) async fn find(&self, aggregate: &AggregateRef, as_of: AsOf) -> Result<Option<Snapshot>, StoreError> {
        if self.empty.load(Ordering::Acquire) {
            return Ok(None);
        }
        let mut wanted = SnapshotQuery::new(aggregate, as_of);
        let mut found = self.shared.read(wanted.clone()).await?;
        while let Some(row) = found {
            match latest::read(&row, aggregate) {
                Ok(snapshot) => return Ok(Some(snapshot)),
                Err(failure) => {
                    let version: i64 = column(&row, 0)?;
                    warn!(%aggregate, version, error = %failure, "a damaged snapshot is skipped");
                    wanted = wanted.before(&row)?;
                    found = self.latest.find(&wanted).await?;
                }
            }
        }
        Ok(None)
    }

    /// See [`Store::snapshotted`](crate::Store::snapshotted).
    pub(super) async fn owners(
        &self,
        aggregate_type: &AggregateType,
        after: Option<&AggregateId>,
        limit: usize,
    ) -> Result<Vec<AggregateId>, StoreError> {
        let mut reader = self.readers.borrow().await?;
        let found: Vec<String> = sqlx::query_scalar(OWNERS)
            .bind(aggregate_type.as_str())
            .bind(after.map_or("", AggregateId::as_str))
            .bind(to_sql(limit as u64))
            .fetch_all(&mut reader.connection)
            .await
            .map_err(error::store)?;
        reader.give_back();
        found.into_iter().map(|id| AggregateId::new(id).map_err(error::damaged)).collect()
    }

    /// See [`Store::count_snapshotted`](crate::Store::count_snapshotted).
    pub(super) async fn count_owners(&self, aggregate_type: &AggregateType) -> Result<u64, StoreError> {
        let mut reader = self.readers.borrow().await?;
        let count = sqlx::query_scalar(COUNT_OWNERS).bind(aggregate_type.as_str());
        let count: i64 = count.fetch_one(&mut reader.connection).await.map_err(error::store)?;
        reader.give_back();
        Ok(from_sql(count, "count")?)
    }

    /// Closes the file.
    pub(super) async fn close(&self) {
        let taken = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(connection) = taken {
            let _closed_anyway = connection.close().await;
        }
    }

    async fn writer(&self) -> Result<SqliteConnection, StoreError> {
        let kept = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.damaged.swap(false, Ordering::AcqRel) {
            warn!(file = %self.files.snapshots().display(), "the snapshots are damaged and are replaced by an empty file");
            drop(kept);
            let connection = derived_file::create(self.files.snapshot_writer(), &schema::SNAPSHOTS).await?;
            self.readers.reopen();
            return Ok(connection);
        }
        match kept {
            Some(connection) => Ok(connection),
            None => Ok(derived_file::open(self.files.snapshot_writer(), &schema::SNAPSHOTS, || ()).await?),
        }
    }

    fn put_back(&self, connection: SqliteConnection) {
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }
}

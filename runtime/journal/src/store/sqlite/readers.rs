//! The connections of readers.

use std::sync::atomic::{AtomicBool, Ordering};

use dormouse_storage::sqlite::{Borrowed, Pool};
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::Notify;
use tracing::warn;

use super::error;
use super::files::Files;
use crate::error::StoreError;
use crate::store::Connections;

/// Read-only connections to the log, with the index attached as `idx` and the snapshots as `snap`.
#[derive(Debug)]
pub(super) struct Readers {
    files: Files,
    pool: Pool,
    index_damaged: AtomicBool,
    damage: Notify,
}

impl Readers {
    pub(super) fn new(files: Files, max: u32) -> Self {
        let pool = Pool::new("the journal", max);
        Self { files, pool, index_damaged: AtomicBool::new(false), damage: Notify::new() }
    }

    /// Waits for a free connection. Opens one if none is idle.
    pub(super) async fn borrow(&self) -> Result<Borrowed<'_>, StoreError> {
        self.pool.borrow(self.connect()).await
    }

    /// A connection for a read that needs the whole index.
    pub(super) async fn borrow_for_index(&self) -> Result<Borrowed<'_>, StoreError> {
        let reader = self.borrow().await?;
        // Checked after the connection was taken: the index that it has attached was whole then.
        if self.has_index_damage() {
            return Err(index_is_rebuilt());
        }
        Ok(reader)
    }

    async fn connect(&self) -> Result<SqliteConnection, StoreError> {
        let mut connection = self.files.reader().connect().await.map_err(error::store)?;
        let index = self.files.index().to_string_lossy().into_owned();
        let attached = sqlx::query("ATTACH DATABASE ? AS idx").bind(index).execute(&mut connection).await;
        if let Err(failure) = attached {
            // The file was deleted or replaced while the other connections still read the old one.
            if error::is_missing(&failure) || error::is_damage(&failure) {
                self.report_index_damage();
                return Err(index_is_rebuilt());
            }
            return Err(error::store(failure));
        }
        let snapshots = self.files.snapshots().to_string_lossy().into_owned();
        let attached = sqlx::query("ATTACH DATABASE ? AS snap").bind(snapshots).execute(&mut connection).await;
        if let Err(failure) = attached {
            // Reads of snapshots find no table; other reads do not need the file.
            warn!(file = %self.files.snapshots().display(), error = error::reason(&failure), "cannot read snapshots");
        }
        Ok(connection)
    }

    /// Notes that the index is damaged: no read uses it until it has been [renewed](Self::renew).
    pub(super) fn report_index_damage(&self) {
        self.index_damaged.store(true, Ordering::SeqCst);
        self.damage.notify_one();
    }

    pub(super) fn has_index_damage(&self) -> bool {
        self.index_damaged.load(Ordering::SeqCst)
    }

    /// Waits for a report of damage.
    pub(super) async fn index_is_damaged(&self) {
        self.damage.notified().await;
    }

    /// Notes that the index is whole again. No read uses the old file any more.
    pub(super) fn renew(&self) {
        self.reopen();
        self.index_damaged.store(false, Ordering::SeqCst);
    }

    /// Drops all connections; those in use are dropped when they are given back.
    pub(super) fn reopen(&self) {
        self.pool.reopen();
    }

    pub(super) fn connections(&self) -> Connections {
        Connections { active: self.pool.active(), max: self.pool.max() }
    }

    /// Waits for the reads in progress, and allows no others.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// The error of a read while the index is damaged. No events are lost.
pub(super) fn index_is_rebuilt() -> StoreError {
    StoreError::Unavailable("the index was damaged and is being made again".to_owned())
}

//! The connections that read.

use std::sync::atomic::{AtomicBool, Ordering};

use dormouse_storage::sqlite::{Borrowed, Pool};
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::Notify;
use tracing::warn;

use super::error;
use super::files::Files;
use crate::error::StoreError;
use crate::store::Connections;

/// Read-only connections on the log, with the index as `idx` and the snapshots as `snap` beside it.
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

    /// Waits for a connection to be free; opens one if none is idle.
    pub(super) async fn borrow(&self) -> Result<Borrowed<'_>, StoreError> {
        self.pool.borrow(self.connect()).await
    }

    /// A connection for a read that relies on the index being whole.
    pub(super) async fn borrow_for_index(&self) -> Result<Borrowed<'_>, StoreError> {
        let reader = self.borrow().await?;
        // Asked after it was taken: whatever it has attached by now was whole then.
        if self.has_index_damage() {
            return Err(being_made_anew());
        }
        Ok(reader)
    }

    async fn connect(&self) -> Result<SqliteConnection, StoreError> {
        let mut connection = self.files.reader().connect().await.map_err(error::store)?;
        let index = self.files.index().to_string_lossy().into_owned();
        let attached = sqlx::query("ATTACH DATABASE ? AS idx").bind(index).execute(&mut connection).await;
        if let Err(failure) = attached {
            // Somebody has deleted it, or put something else there, while the others still read the one that was.
            if error::is_missing(&failure) || error::is_damage(&failure) {
                self.report_index_damage();
                return Err(being_made_anew());
            }
            return Err(error::store(failure));
        }
        let snapshots = self.files.snapshots().to_string_lossy().into_owned();
        let attached = sqlx::query("ATTACH DATABASE ? AS snap").bind(snapshots).execute(&mut connection).await;
        if let Err(failure) = attached {
            // Who looks for a snapshot finds no table; everybody else can do without.
            warn!(file = %self.files.snapshots().display(), error = error::reason(&failure), "cannot read snapshots");
        }
        Ok(connection)
    }

    /// The index cannot be relied on: no read uses it until it has been [renewed](Self::renew).
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

    /// A derived file was replaced: nobody reads the old one any more.
    pub(super) fn renew(&self) {
        self.reopen();
        self.index_damaged.store(false, Ordering::SeqCst);
    }

    /// Drops all connections, those in use when they come back.
    pub(super) fn reopen(&self) {
        self.pool.reopen();
    }

    pub(super) fn connections(&self) -> Connections {
        Connections { active: self.pool.active(), max: self.pool.max() }
    }

    /// No more reads; those under way come to their end.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// What is told of a damaged index, which is nobody's loss.
pub(super) fn being_made_anew() -> StoreError {
    StoreError::Unavailable("the index was damaged and is being made anew".to_owned())
}

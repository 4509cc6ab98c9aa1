//! The connections that read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tracing::warn;

use super::error;
use super::files::Files;
use crate::error::StoreError;
use crate::store::Connections;

/// A pool of read-only connections on the log, with the index as `idx` and the snapshots as `snap` beside it.
///
/// Not sqlx's pool: that one asks each connection whether it is alive whenever it is given back, which is a trip to
/// another thread, for files that do not hang up. Here a connection that had an error, or
/// whose reader was cancelled, is dropped, and so is one from before a derived file was replaced.
#[derive(Debug)]
pub(super) struct Readers {
    files: Files,
    max: u32,
    permits: Semaphore,
    idle: Mutex<Idle>,
    index_damaged: AtomicBool,
    damage: Notify,
}

#[derive(Debug, Default)]
struct Idle {
    /// Which replacement of the derived files this is.
    generation: u64,
    /// The one used last is used next: its caches are warm.
    connections: Vec<SqliteConnection>,
}

/// A connection for one read. Give it [back](Self::give_back) after a success.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    readers: &'a Readers,
    pub(super) connection: SqliteConnection,
    generation: u64,
    _permit: SemaphorePermit<'a>,
}

impl Readers {
    pub(super) fn new(files: Files, max: u32) -> Self {
        Self {
            files,
            max,
            permits: Semaphore::new(max as usize),
            idle: Mutex::default(),
            index_damaged: AtomicBool::new(false),
            damage: Notify::new(),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a connection to be free; opens one if none is idle.
    pub(super) async fn borrow(&self) -> Result<Reader<'_>, StoreError> {
        let closed = |_| StoreError::Unavailable("the journal is closed".to_owned());
        let permit = self.permits.acquire().await.map_err(closed)?;
        let (generation, idle) = {
            let mut idle = self.idle();
            (idle.generation, idle.connections.pop())
        };
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(Reader { readers: self, connection, generation, _permit: permit })
    }

    /// A connection for a read that relies on the index being whole.
    pub(super) async fn borrow_for_index(&self) -> Result<Reader<'_>, StoreError> {
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
        let dropped = {
            let mut idle = self.idle();
            idle.generation += 1;
            std::mem::take(&mut idle.connections)
        };
        drop(dropped);
    }

    pub(super) fn connections(&self) -> Connections {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        Connections { active: self.max.saturating_sub(free), max: self.max }
    }

    /// No more reads; those under way come to their end.
    pub(super) async fn close(&self) {
        // All permits: all readers are back.
        let all_back = self.permits.acquire_many(self.max).await;
        self.permits.close();
        drop(all_back);
        let idle = std::mem::take(&mut self.idle().connections);
        for connection in idle {
            let _closed_anyway = sqlx::Connection::close(connection).await;
        }
    }
}

/// What is told of a damaged index, which is nobody's loss.
pub(super) fn being_made_anew() -> StoreError {
    StoreError::Unavailable("the index was damaged and is being made anew".to_owned())
}

impl Reader<'_> {
    pub(super) fn give_back(self) {
        let mut idle = self.readers.idle();
        if idle.generation == self.generation {
            idle.connections.push(self.connection);
        }
    }
}

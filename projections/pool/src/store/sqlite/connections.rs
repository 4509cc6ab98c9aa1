//! Connections to one file, opened when they are needed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::failed;
use crate::store::Error;

/// A pool. Not sqlx's, for the reasons that the journal's readers give: that one asks each connection whether it is
/// alive whenever it is given back. Here one that had an error, or whose user was cancelled, is dropped.
#[derive(Debug)]
pub(super) struct Connections {
    options: SqliteConnectOptions,
    max: u32,
    permits: Semaphore,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// Which replacement of the file this is.
    generation: u64,
    /// The one used last is used next: its caches are warm.
    connections: Vec<SqliteConnection>,
}

/// A connection for one use. Give it [back](Self::give_back) after a success.
#[derive(Debug)]
pub(super) struct Borrowed<'a> {
    connections: &'a Connections,
    pub(super) connection: SqliteConnection,
    generation: u64,
    _permit: SemaphorePermit<'a>,
}

impl Connections {
    pub(super) fn new(options: SqliteConnectOptions, max: u32) -> Self {
        Self { options, max, permits: Semaphore::new(max as usize), idle: Mutex::default() }
    }

    pub(super) fn options(&self) -> SqliteConnectOptions {
        self.options.clone()
    }

    /// Waits for a connection to be free; opens one if none is idle.
    pub(super) async fn borrow(&self) -> Result<Borrowed<'_>, Error> {
        let permit = self.permits.acquire().await.map_err(|_| Error::Unavailable("they were closed".to_owned()))?;
        let (generation, idle) = {
            let mut idle = self.idle();
            (idle.generation, idle.connections.pop())
        };
        let connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(failed)?,
        };
        Ok(Borrowed { connections: self, connection, generation, _permit: permit })
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

    /// No more uses; those under way come to their end.
    pub(super) async fn close(&self) {
        // All permits: all connections are back.
        let all_back = self.permits.acquire_many(self.max).await;
        self.permits.close();
        drop(all_back);
        let idle = std::mem::take(&mut self.idle().connections);
        for connection in idle {
            let _closed_anyway = connection.close().await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Borrowed<'_> {
    pub(super) fn give_back(self) {
        let mut idle = self.connections.idle();
        if idle.generation == self.generation {
            idle.connections.push(self.connection);
        }
    }
}

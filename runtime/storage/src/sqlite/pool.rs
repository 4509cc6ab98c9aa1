//! Connections to files, opened when they are needed and lent to one user at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::Error;

/// A pool of connections that are all alike.
///
/// Not sqlx's pool: that one asks each connection whether it is alive whenever it is given back, which is a trip to
/// another thread, for files that do not hang up. Here a connection that had an error, or
/// whose user was cancelled, is dropped, and so is one from before a file was replaced.
#[derive(Debug)]
pub struct Pool {
    /// To what they lead, for messages.
    name: &'static str,
    max: u32,
    permits: Semaphore,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// Which replacement of the files this is.
    generation: u64,
    /// The one used last is used next: its caches are warm.
    connections: Vec<SqliteConnection>,
}

/// A connection for one use. Give it [back](Self::give_back) after a success.
#[derive(Debug)]
pub struct Borrowed<'a> {
    pool: &'a Pool,
    /// The connection.
    pub connection: SqliteConnection,
    generation: u64,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    /// At most so many connections, none of them open yet.
    #[must_use]
    pub fn new(name: &'static str, max: u32) -> Self {
        Self { name, max, permits: Semaphore::new(max as usize), idle: Mutex::default() }
    }

    /// Waits for a connection to be free; opens one with `connect` if none is idle.
    ///
    /// # Errors
    /// If the pool is closed, or that of `connect`.
    pub async fn borrow<E: From<Error>>(
        &self,
        connect: impl Future<Output = Result<SqliteConnection, E>>,
    ) -> Result<Borrowed<'_>, E> {
        let closed = |_| Error::Unavailable(format!("{} is closed", self.name));
        let permit = self.permits.acquire().await.map_err(closed)?;
        let (generation, idle) = {
            let mut idle = self.idle();
            (idle.generation, idle.connections.pop())
        };
        let connection = match idle {
            Some(connection) => connection,
            None => connect.await?,
        };
        Ok(Borrowed { pool: self, connection, generation, _permit: permit })
    }

    /// Drops all connections, those in use when they come back.
    pub fn reopen(&self) {
        let dropped = {
            let mut idle = self.idle();
            idle.generation += 1;
            std::mem::take(&mut idle.connections)
        };
        drop(dropped);
    }

    /// How many are in use right now.
    #[must_use]
    pub fn active(&self) -> u32 {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        self.max.saturating_sub(free)
    }

    /// How many there may be.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Lends no more; uses under way come to their end.
    pub async fn close(&self) {
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
    /// Others may have it next.
    pub fn give_back(self) {
        let mut idle = self.pool.idle();
        if idle.generation == self.generation {
            idle.connections.push(self.connection);
        }
    }
}

//! Connections to SQLite files, opened on demand and lent to one user at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::Error;

/// A pool of equal connections.
///
/// sqlx's pool tests each connection when it is given back. That costs a trip to another thread, and a file does not
/// close connections. This pool drops a connection after an error, after its user was cancelled, and after its file was
/// replaced.
#[derive(Debug)]
pub struct Pool {
    /// What the connections lead to, for messages.
    name: &'static str,
    max: u32,
    permits: Semaphore,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// How often the file was replaced.
    generation: u64,
    /// The connection that was used last is used next: its caches are warm.
    connections: Vec<SqliteConnection>,
}

/// A connection for one use. It is dropped unless it is [given back](Self::give_back) after a success.
#[derive(Debug)]
pub struct Borrowed<'a> {
    pool: &'a Pool,
    /// The connection.
    pub connection: SqliteConnection,
    generation: u64,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    /// A pool of at most `max` connections. None of them is open yet.
    #[must_use]
    pub fn new(name: &'static str, max: u32) -> Self {
        Self { name, max, permits: Semaphore::new(max as usize), idle: Mutex::default() }
    }

    /// Waits for a free connection. Opens one with `connect` if none is idle.
    ///
    /// # Errors
    /// If the pool is closed, or if `connect` fails.
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

    /// Drops all connections; those in use are dropped when they are given back.
    pub fn reopen(&self) {
        let dropped = {
            let mut idle = self.idle();
            idle.generation += 1;
            std::mem::take(&mut idle.connections)
        };
        drop(dropped);
    }

    /// How many connections are in use right now.
    #[must_use]
    pub fn active(&self) -> u32 {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        self.max.saturating_sub(free)
    }

    /// How many connections there may be.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Stops lending, and waits until all connections in use are given back.
    pub async fn close(&self) {
        // With all permits taken, no connection is in use.
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
    /// Makes the connection available to the next user.
    pub fn give_back(self) {
        let mut idle = self.pool.idle();
        if idle.generation == self.generation {
            idle.connections.push(self.connection);
        }
    }
}

//! Progress in SQLite: one file, beside the journal's or in another directory.
//!
//! `queue.db` is not derived: the log does not have the dead letters, attempts and progress that are in it. So it is
//! synced at each commit (`synchronous=FULL`), and a file that is damaged is never replaced. One connection writes, for
//! all consumers together ([`writer`]); others read.
//!
//! Background tasks: the [`writer`] and the [`WalWatch`], which end with [`close`](QueueStore::close) or when the store
//! is dropped.

#[cfg(test)]
mod plans;
mod read;
mod schema;
mod statement;
mod write;
mod writer;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, Epoch, Timestamp};
use dormouse_storage::Error as Problem;
use dormouse_storage::sqlite::{BUSY_TIMEOUT, Pool, WalWatch, error, kept_file};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::{
    Changes, Error, JobCounts, JobId, JobRow, JobStateName, Progress, QueueStore, Switch, TimerPlace, TimerRow,
};
use crate::consumer_name::ConsumerName;
use schema::QUEUE;
use writer::Writer;

/// Pages (4 KiB) in the WAL before a checkpoint. Four times SQLite's default: commits in a row write the same pages, and
/// a checkpoint copies each of them only once.
const CHECKPOINT_PAGES: &str = "4000";

/// The size to which a checkpoint truncates a WAL that has grown (64 MiB).
const WAL_BYTES_KEPT: &str = "67108864";

/// Cache of the writing connection, in KiB because it is negative: 16 MiB, for the inner pages of the indexes of a
/// million jobs.
const CACHE: &str = "-16384";

/// What happens to an application whose file is moved away.
const WITHOUT_IT: &str = "then dead letters are forgotten, and handlers that have run run again, with the same keys";

/// Keeps progress in a file.
#[derive(Debug)]
pub struct Sqlite {
    writer: Writer,
    reading: SqliteConnectOptions,
    readers: Pool,
    /// `None` after [`close`](QueueStore::close).
    wal: Mutex<Option<WalWatch>>,
}

impl Sqlite {
    /// Opens `queue.db` in a directory; both are created if they are missing.
    ///
    /// # Errors
    /// If the file cannot be created or written, is damaged, or belongs to another program or a newer version. Such a
    /// file is left as it is.
    pub async fn open(directory: &Path, read_connections: u32) -> Result<Self, Error> {
        let unavailable = |failure: std::io::Error| Problem::Unavailable(format!("{}: {failure}", directory.display()));
        std::fs::create_dir_all(directory).map_err(unavailable)?;
        let path = directory.join("queue.db");
        let file = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("journal_size_limit", WAL_BYTES_KEPT)
            .foreign_keys(false)
            .disable_statement_logging();
        let writing = file
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("cache_size", CACHE)
            .pragma("temp_store", "MEMORY")
            .thread_name(|_| "queue-write".to_owned());
        let reading =
            file.read_only(true).pragma("query_only", "ON").thread_name(|number| format!("queue-read-{number}"));
        let first = kept_file::open(&writing, &QUEUE, WITHOUT_IT).await?;
        first.close().await.map_err(failed)?;
        Ok(Self {
            // A file that is deleted while it is in use is not created again: its content would be missing.
            writer: Writer::start(writing.create_if_missing(false)),
            reading,
            readers: Pool::new("the file of the queues", read_connections.max(1)),
            wal: Mutex::new(Some(WalWatch::start([("queue", path)]))),
        })
    }

    /// Runs a query on a connection that reads.
    async fn read<T>(
        &self,
        query: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Problem> {
        let mut reader = self.readers.borrow(async { self.reading.connect().await.map_err(failed) }).await?;
        // After an error the connection is dropped.
        let found = query(&mut reader.connection).await.map_err(failed)?;
        reader.give_back();
        Ok(found)
    }
}

#[async_trait]
impl QueueStore for Sqlite {
    async fn acquire(&self, epoch: Epoch) -> Result<(), Error> {
        self.writer.acquire(epoch).await
    }

    async fn progress(&self, consumer: &ConsumerName) -> Result<Option<Progress>, Error> {
        self.read_progress(consumer).await
    }

    async fn commit(&self, consumer: &ConsumerName, changes: &Changes) -> Result<(), Error> {
        self.writer.write(write::commit(consumer, changes)?).await
    }

    async fn held(
        &self,
        consumer: &ConsumerName,
        sequences: &[AggregateRef],
        dead_too: bool,
    ) -> Result<HashSet<AggregateRef>, Error> {
        self.read_held(consumer, sequences, dead_too).await
    }

    async fn due_jobs(&self, consumer: &ConsumerName, now: Timestamp, limit: usize) -> Result<Vec<JobRow>, Error> {
        self.read_due(consumer, now, limit).await
    }

    async fn next_due_job(&self, consumer: &ConsumerName) -> Result<Option<Timestamp>, Error> {
        self.read_next_due(consumer).await
    }

    async fn sequence_jobs(
        &self,
        consumer: &ConsumerName,
        sequence: &AggregateRef,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobRow>, Error> {
        self.read_sequence(consumer, sequence, after, limit).await
    }

    async fn jobs(
        &self,
        consumer: &ConsumerName,
        state: JobStateName,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobRow>, Error> {
        self.read_state(consumer, state, after, limit).await
    }

    async fn job(&self, consumer: &ConsumerName, id: JobId) -> Result<Option<JobRow>, Error> {
        self.read_job(consumer, id).await
    }

    async fn job_counts(&self) -> Result<HashMap<ConsumerName, JobCounts>, Error> {
        self.count_jobs().await
    }

    async fn timers(&self, until: Timestamp, after: Option<&TimerPlace>, limit: usize) -> Result<Vec<TimerRow>, Error> {
        self.read_timers(until, after, limit).await
    }

    async fn timer_count(&self) -> Result<u64, Error> {
        self.count_timers().await
    }

    async fn switches(&self) -> Result<HashMap<ConsumerName, Switch>, Error> {
        self.read_switches().await
    }

    async fn set_switch(&self, consumer: &ConsumerName, switch: Switch) -> Result<(), Error> {
        self.writer.write(write::switch(consumer, switch)?).await
    }

    async fn forget(&self, consumer: &ConsumerName) -> Result<(), Error> {
        self.writer.write(write::forget(consumer)?).await
    }

    async fn settings(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.read_settings(prefix).await
    }

    async fn set_setting(&self, name: &str, value: Option<&[u8]>) -> Result<(), Error> {
        self.writer.write(write::setting(name, value)?).await
    }

    fn connections(&self) -> (u32, u32) {
        // The connection that writes is always open.
        (self.readers.active() + 1, self.readers.max() + 1)
    }

    async fn close(&self) {
        drop(self.wal.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Readers first: the connection that closes last must be able to empty the WAL.
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// What the error of a statement means. A value of the wrong type is damage.
fn failed(failure: sqlx::Error) -> Problem {
    match failure {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Problem::Damaged(failure.to_string()),
        failure => error::classify(failure),
    }
}

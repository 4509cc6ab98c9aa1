//! Progress in PostgreSQL: in a schema of its own, on the journal's server or another.
//!
//! A commit is one statement: one transaction and one round trip. Some connections commit, others read.
//!
//! | file | content |
//! |---|---|
//! | this one | opening, and the implementation of the contract |
//! | `ownership` | who may write, and statements whose outcome is not known |
//! | `write` | the statement of a commit |
//! | `read` | reading |
//! | `schema` | the tables |

mod ownership;
mod read;
mod schema;
mod write;

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use dormouse_config::PostgresUrl;
use dormouse_kernel::{AggregateRef, Epoch, Timestamp};
use dormouse_storage::Error as Problem;
use dormouse_storage::postgres::{Purpose, Schema, Server, Sessions};

use super::{
    Changes, Error, JobCounts, JobId, JobRow, JobStateName, Progress, QueueStore, Switch, TimerPlace, TimerRow,
};
use crate::consumer_name::ConsumerName;
use ownership::Ownership;
use schema::QUEUE;

/// Every statement here has its index. While the tables are small, the planner would prefer scans.
///
/// A plan is made for each statement: the plan for a small table must not be kept while a backlog of a million jobs
/// arrives. Planning takes a fraction of a millisecond.
const BY_INDEX: [(&str, &str); 3] =
    [("enable_seqscan", "off"), ("enable_bitmapscan", "off"), ("plan_cache_mode", "force_custom_plan")];

/// Progress must be durable when its statement returns, whatever the server's default.
const WRITE: Purpose = Purpose {
    name: "dormouse queues writer",
    settings: &[BY_INDEX[0], BY_INDEX[1], BY_INDEX[2], ("synchronous_commit", "on")],
    statement_timeout: None,
    is_urgent: true,
};

const READ: Purpose = Purpose {
    name: "dormouse queues reader",
    settings: &[BY_INDEX[0], BY_INDEX[1], BY_INDEX[2], ("default_transaction_read_only", "on")],
    is_urgent: false,
    ..WRITE
};

/// Keeps progress in a PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    writers: Sessions,
    readers: Sessions,
    ownership: Ownership,
}

impl Postgres {
    /// The schema of the queues, unless another one is named.
    pub const SCHEMA: &'static str = "dormouse_queue";

    /// Opens the queues in a schema, which is created if it is missing. Half of the connections write, the others read;
    /// there is at least one of each.
    ///
    /// # Errors
    /// If the server cannot be reached, or the schema belongs to another program, is newer than this binary, or may not
    /// be created.
    pub async fn open(
        url: &PostgresUrl,
        schema: &str,
        connections: u32,
        limits: &dormouse_config::Postgres,
    ) -> Result<Self, Error> {
        let unavailable = |reason: String| Problem::Unavailable(format!("{url}: {reason}"));
        Schema::check_name(schema).map_err(|failure| unavailable(failure.into_reason()))?;
        let server = Server::new(url, limits).map_err(|failure| unavailable(failure.into_reason()))?;
        let server = server.in_schema(schema);
        let writing = (connections / 2).max(1);
        let writers = Sessions::new(server.clone(), WRITE, writing);
        let mut session = writers.open().await.map_err(|failure| unavailable(failure.into_reason()))?;
        QUEUE.migrate(&mut session, url, schema).await?;
        session.keep();
        Ok(Self {
            writers,
            readers: Sessions::kept(server, READ, connections.saturating_sub(writing)),
            ownership: Ownership::default(),
        })
    }
}

#[async_trait]
impl QueueStore for Postgres {
    async fn acquire(&self, epoch: Epoch) -> Result<(), Error> {
        self.ownership.acquire(epoch, &self.writers).await
    }

    async fn progress(&self, consumer: &ConsumerName) -> Result<Option<Progress>, Error> {
        self.read_progress(consumer).await
    }

    async fn commit(&self, consumer: &ConsumerName, changes: &Changes) -> Result<(), Error> {
        let write = write::commit(consumer, changes)?;
        self.ownership.write(&write, &self.writers).await
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
        let write = write::switch(consumer, switch)?;
        self.ownership.write(&write, &self.writers).await
    }

    async fn forget(&self, consumer: &ConsumerName) -> Result<(), Error> {
        let write = write::forget(consumer)?;
        self.ownership.write(&write, &self.writers).await
    }

    async fn settings(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.read_settings(prefix).await
    }

    async fn set_setting(&self, name: &str, value: Option<&[u8]>) -> Result<(), Error> {
        let write = write::setting(name, value)?;
        self.ownership.write(&write, &self.writers).await
    }

    fn connections(&self) -> (u32, u32) {
        let ((writing, writers), (reading, readers)) = (self.writers.count(), self.readers.count());
        (writing + reading, writers + readers)
    }

    async fn close(&self) {
        tokio::join!(self.writers.close(), self.readers.close());
    }
}

//! Where consumers keep their progress: the contract of all stores.
//!
//! The log is the queue. A store never has a copy of an event. It has, for each consumer, how far the consumer has come
//! in each shard, and the *jobs* that are exceptions: those that wait for another attempt, those that wait behind one of
//! these, and dead letters. It also has the timers that are set, the switches of operators, and settings: small values
//! by name, such as the subscriptions of webhooks.
//!
//! ```text
//! log of one shard:   1   2   3   4   5   6   7   8   9
//! low = 5             ✓   ✓   ✗   ✓   ✓   ·   ✓   ·   ·
//!                     └── done, or a job ─┘   │   └ done above low: in `done`
//!                             └ position 3 is a job: waiting, blocked or dead
//! ```

mod memory;
mod net;
mod postgres;
mod row;
mod sqlite;

use std::collections::{HashMap, HashSet};
use std::fmt;

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, Epoch, Position, Schedule, Slice, TimerName, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::consumer_name::ConsumerName;
pub use memory::Memory;
pub use postgres::Postgres;
pub use sqlite::Sqlite;

/// Keeps the progress of consumers durably.
///
/// All methods take part in one order: what a call has returned, later calls see. A call whose future is dropped may
/// still take effect.
#[async_trait]
pub trait QueueStore: fmt::Debug + Send + Sync + 'static {
    /// Takes the store over for the owner of the journal with this epoch. From then on, [`commit`](Self::commit) of a
    /// store that was acquired with a lower epoch fails with [`Error::Fenced`].
    ///
    /// # Errors
    /// [`Error::Fenced`] if the store was acquired with a higher epoch.
    async fn acquire(&self, epoch: Epoch) -> Result<(), Error>;

    /// How far a consumer has come. `None` if it has never committed.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn progress(&self, consumer: &ConsumerName) -> Result<Option<Progress>, Error>;

    /// Makes changes durable, all or none. When this returns, they survive a loss of power.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process has acquired the store. After any other error, the changes may or may not
    /// have been made; to repeat them is safe.
    async fn commit(&self, consumer: &ConsumerName, changes: &Changes) -> Result<(), Error>;

    /// Of these sequences, those that have jobs of a consumer: waiting or blocked ones, and, if `dead_too`, dead ones.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn held(
        &self,
        consumer: &ConsumerName,
        sequences: &[AggregateRef],
        dead_too: bool,
    ) -> Result<HashSet<AggregateRef>, Error>;

    /// The waiting jobs of a consumer that are due by `now`, at most `limit`, the earliest first.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn due_jobs(&self, consumer: &ConsumerName, now: Timestamp, limit: usize) -> Result<Vec<JobRow>, Error>;

    /// When the first waiting job of a consumer is due. `None` if none waits.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn next_due_job(&self, consumer: &ConsumerName) -> Result<Option<Timestamp>, Error>;

    /// The jobs of one sequence after `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn sequence_jobs(
        &self,
        consumer: &ConsumerName,
        sequence: &AggregateRef,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobRow>, Error>;

    /// The jobs of one consumer in one state after `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn jobs(
        &self,
        consumer: &ConsumerName,
        state: JobStateName,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobRow>, Error>;

    /// One job.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn job(&self, consumer: &ConsumerName, id: JobId) -> Result<Option<JobRow>, Error>;

    /// How many jobs each consumer has, by state. Consumers without jobs are left out.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn job_counts(&self) -> Result<HashMap<ConsumerName, JobCounts>, Error>;

    /// The timers that are due by `until`, after `after`, in order, at most `limit`. In order means: by due time, then by
    /// aggregate, then by name.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn timers(&self, until: Timestamp, after: Option<&TimerPlace>, limit: usize) -> Result<Vec<TimerRow>, Error>;

    /// How many timers are set.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn timer_count(&self) -> Result<u64, Error>;

    /// What operators have switched, by consumer. Consumers that nobody has switched are left out.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn switches(&self) -> Result<HashMap<ConsumerName, Switch>, Error>;

    /// Switches a consumer.
    ///
    /// # Errors
    /// As with [`commit`](Self::commit).
    async fn set_switch(&self, consumer: &ConsumerName, switch: Switch) -> Result<(), Error>;

    /// Removes everything of a consumer: its progress, its jobs and its switch. A consumer of this name that runs later
    /// begins as one that has never run.
    ///
    /// # Errors
    /// As with [`commit`](Self::commit).
    async fn forget(&self, consumer: &ConsumerName) -> Result<(), Error>;

    /// The settings whose names begin with this text, in the order of the names.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn settings(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, Error>;

    /// Replaces a setting. Without a value, removes it. The name must not contain NUL.
    ///
    /// # Errors
    /// As with [`commit`](Self::commit).
    async fn set_setting(&self, name: &str, value: Option<&[u8]>) -> Result<(), Error>;

    /// Connections in use, and the most there may be, for metrics.
    fn connections(&self) -> (u32, u32);

    /// Waits for the calls in progress, and closes the connections. Later calls fail.
    async fn close(&self);
}

/// Why a store could not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another process has acquired the store, with a higher epoch.
    #[error("another node has taken over the queues")]
    Fenced,
    /// The database could not do it.
    #[error(transparent)]
    Storage(#[from] dormouse_storage::Error),
}

/// How far a consumer has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// One for each shard.
    pub shards: Vec<ShardProgress>,
    /// The positions of events above the low of their shard that are done, or are a job.
    pub done: HashSet<Position>,
}

/// How far a consumer has come in one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardProgress {
    /// The number of the shard.
    pub shard: u16,
    /// How many shards there were when this was written: the shard has the slices that [`Slice::shard`] says.
    pub shards: u16,
    /// Each event of the shard up to this position is done, or is a job.
    pub low: Position,
}

/// Changes of one consumer. If a job or a position is both put and removed, it is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Replace the progress of these shards.
    pub progress: Vec<ShardProgress>,
    /// Forget the progress of shards that belong to another number of shards than these have. Only together with
    /// `progress`.
    pub forget_other_shards: bool,
    /// These events are done, above the low of their shard.
    pub done: Vec<Position>,
    /// The low of their shard has reached these events.
    pub forget_done: Vec<Position>,
    /// Insert or replace these jobs.
    pub put: Vec<JobRow>,
    /// Remove these jobs: they are done, or were skipped.
    pub remove: Vec<JobId>,
    /// Set these timers, each in place of an earlier one of the same aggregate and name.
    pub set_timers: Vec<TimerRow>,
    /// Remove these timers, whenever they were set.
    pub remove_timers: Vec<(AggregateRef, TimerName)>,
}

/// What identifies a job of one consumer. Jobs of a sequence are done in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    /// The position of the event that the job is about.
    pub position: Position,
    /// Distinguishes several jobs about one event. Never negative. Only timers have other parts than 0.
    pub part: i64,
}

/// A job that is an exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// What identifies it.
    pub id: JobId,
    /// The aggregate whose event the job is about. Its jobs are the sequence.
    pub sequence: AggregateRef,
    /// The version of that event.
    pub version: Version,
    /// What the job is about, for operators: the name of the event, or of the timer.
    pub subject: String,
    /// Whether and when it is attempted again.
    pub state: JobState,
    /// The attempts that failed, the oldest first.
    pub attempts: Vec<FailedAttempt>,
    /// After this many attempts it is a dead letter.
    pub attempts_allowed: u32,
    /// What the consumer needs besides the event. Only timers need anything.
    pub payload: Option<Vec<u8>>,
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It is attempted again at this time, or is being attempted.
    Waiting {
        /// Not before this time, to the microsecond.
        due: Timestamp,
    },
    /// It waits until the earlier jobs of its sequence are done.
    Blocked,
    /// It has failed too often: a dead letter.
    Dead,
}

/// The name of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStateName {
    /// [`JobState::Waiting`]
    Waiting,
    /// [`JobState::Blocked`]
    Blocked,
    /// [`JobState::Dead`]
    Dead,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// When it ended.
    pub at: Timestamp,
    /// Why it failed.
    pub error: String,
}

/// How many jobs there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// [`JobState::Waiting`]
    pub waiting: u64,
    /// [`JobState::Blocked`]
    pub blocked: u64,
    /// [`JobState::Dead`]
    pub dead: u64,
}

/// A timer that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerRow {
    /// Where the timer is in the order of timers.
    pub place: TimerPlace,
    /// The position of the event that set it.
    pub position: Position,
    /// The version of that event: the generation of the timer.
    pub set_at: Version,
    /// When it is due, and due again.
    pub schedule: Schedule,
    /// What is needed to fire it.
    pub payload: Vec<u8>,
}

/// The place of a timer in the order of timers. The aggregate and the name identify it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerPlace {
    /// When it is due next, to the microsecond.
    pub due: Timestamp,
    /// Its aggregate.
    pub aggregate: AggregateRef,
    /// Its name.
    pub name: TimerName,
}

/// What an operator has switched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// The consumer starts no job, and keeps its place.
    pub paused: bool,
    /// The consumer passes over all events, without doing anything.
    pub disabled: bool,
}

impl JobState {
    /// The name of the state.
    #[must_use]
    pub const fn name(self) -> JobStateName {
        match self {
            Self::Waiting { .. } => JobStateName::Waiting,
            Self::Blocked => JobStateName::Blocked,
            Self::Dead => JobStateName::Dead,
        }
    }
}

impl ShardProgress {
    /// Whether the shard has this slice.
    #[must_use]
    pub fn has(&self, slice: Slice) -> bool {
        slice.shard(self.shards) == self.shard
    }
}

impl Changes {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

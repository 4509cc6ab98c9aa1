//! The contract of a store, and the three stores that keep it.

mod memory;
mod postgres;
mod sqlite;

use std::fmt::Debug;

use async_trait::async_trait;
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, CommandKey, Epoch, Position, Version};
pub use dormouse_storage::Migrated;
use dormouse_storage::postgres::ReplicaStatus;

pub use crate::append::Placed;
use crate::error::{CommitError, StoreError};
use crate::filter::LogFilter;
use crate::page::{Page, PageLimit};
use crate::snapshot::{AsOf, Snapshot};
pub use memory::Memory;
pub use postgres::Postgres;
pub use sqlite::Sqlite;

/// An ownership of the journal, and the end of the log when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The epoch that appends of this owner carry.
    pub epoch: Epoch,
    /// The position of the last event; zero if there is none.
    pub head: Position,
}

/// Whether a store is opened to write or to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To take the journal over and append. Its schema is brought up to date first.
    Own,
    /// To read beside the owner. Nothing is changed.
    Read,
}

/// How many connections a store has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// In use right now.
    pub active: u32,
    /// The limit.
    pub max: u32,
}

/// Keeps the log and the snapshots.
///
/// ```text
///  submissions ──► batch ──► commit(epoch, batch) ──┬─ Ok ─────────► the batch is durable ──► answers "success"
///  (in memory)   (in memory)  one statement, synced │                 └─► feeds and projections see it
///                                                   ├─ Fenced ─────► nothing of it is durable, nor will be; another
///                                                   │                owner appends from now on
///                                                   ├─ Refused ────► nothing of it is durable, nor will be
///                                                   ├─ Full ───────► so too: there is no room
///                                                   └─ Unknown ────► durable or not; or it happens later
///                                                        acquire(epoch) ends every earlier commit; then read_log
///                                                        tells which, and the submitters are answered
///
///  log         durable with the commit; nothing else is needed to keep a promise
///  index       SQLite's, derived from the log: written after the commit, rebuilt from the log
///  snapshots   a cache: written after the commit, need not be durable, may be lost
/// ```
///
/// The journal's writer checks versions and command keys before it commits. A store may check them again (a unique
/// index), but need not. Every method may be called from many tasks at once, except [`acquire`](Self::acquire) and
/// [`commit`](Self::commit): only the writer calls them, one at a time. The writer never drops a future half-way;
/// readers may.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// Takes the journal over, or confirms the ownership with a new epoch.
    ///
    /// The new epoch is greater than every earlier one. Once this returns, no commit with an earlier epoch can succeed
    /// any more. That includes a commit in progress: either it has happened and the returned head includes it, or it
    /// never will. With `previous`, this succeeds only if that epoch is still in force.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if `previous` is no longer in force.
    async fn acquire(&self, previous: Option<Epoch>) -> Result<Ownership, StoreError>;

    /// Appends a batch, all of it or nothing, and returns once it is durable: it survives a crash of the process and a
    /// loss of power.
    ///
    /// The batch is not empty. Its positions start right after the head and have no gaps.
    ///
    /// # Errors
    /// [`CommitError::Unknown`], unless it is certain that nothing was or will be committed.
    async fn commit(&self, epoch: Epoch, batch: &[Placed]) -> Result<(), CommitError>;

    /// The versions of these aggregates, in the same order, including all commits. Zero for an aggregate without
    /// events.
    async fn versions(&self, aggregates: &[AggregateRef]) -> Result<Vec<Version>, StoreError>;

    /// The version of the first event of the aggregate's command with this key.
    async fn find_command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<Option<Version>, StoreError>;

    /// The events of an aggregate after a version, in order, within `limit`. They include every commit that had
    /// returned before the call, and nothing that is not durable.
    ///
    /// The read itself ends at the limit: events that do not fit the page are not loaded.
    async fn read_aggregate(
        &self,
        aggregate: &AggregateRef,
        after: Version,
        limit: PageLimit,
    ) -> Result<Page, StoreError>;

    /// The events after a position, in order and without gaps, within `limit`. Otherwise like
    /// [`read_aggregate`](Self::read_aggregate).
    async fn read_log(&self, after: Position, limit: PageLimit) -> Result<Page, StoreError>;

    /// The events after a position, up to `until`, that meet a filter, within `limit`. All of them must be known to be
    /// durable.
    ///
    /// The payload of other events is not read. The caller bounds the number of events that are scanned.
    async fn select_log(
        &self,
        after: Position,
        until: Position,
        filter: &LogFilter,
        limit: PageLimit,
    ) -> Result<Page, StoreError>;

    /// The position of the last committed event; zero if there is none. It is read from the storage, so it also shows
    /// whether the storage answers.
    async fn head(&self) -> Result<Position, StoreError>;

    /// The epoch in force, as the storage has it. An owner with another epoch has lost the journal.
    async fn epoch(&self) -> Result<Epoch, StoreError>;

    /// Stores snapshots, replaces those of the same version, and drops those that the retention does not keep. They
    /// need not be durable, and must not delay commits.
    async fn save_snapshots(&self, snapshots: &[Snapshot]) -> Result<(), StoreError>;

    /// The latest undamaged snapshot that is part of the wanted state.
    async fn snapshot(&self, aggregate: &AggregateRef, as_of: AsOf) -> Result<Option<Snapshot>, StoreError>;

    /// The ids of the aggregates of a type that have snapshots, in order: at most `limit` of those after `after`.
    async fn snapshotted(
        &self,
        aggregate_type: &AggregateType,
        after: Option<&AggregateId>,
        limit: usize,
    ) -> Result<Vec<AggregateId>, StoreError>;

    /// How many aggregates of a type have snapshots.
    async fn count_snapshotted(&self, aggregate_type: &AggregateType) -> Result<u64, StoreError>;

    /// How many connections are in use.
    fn connections(&self) -> Connections;

    /// Finishes the work after the commits and closes the storage. Reads and commits fail afterwards.
    async fn close(&self);

    /// The status of the replicas that the log is also read from. Empty if the store has no replicas.
    fn replicas(&self) -> Vec<ReplicaStatus> {
        Vec::new()
    }
}

/// How many snapshots of an aggregate are kept, and for how long. The latest one is always kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Snapshots per aggregate.
    pub keep_count: usize,
    /// The age past which a snapshot is dropped.
    pub max_age: std::time::Duration,
    /// How many more are kept whatever their age, spread over the history.
    pub keep_sparse: usize,
}

/// The smallest step between sparse snapshots. Fewer events are replayed about as fast as a snapshot is read.
const SPARSE_STEP_MIN: u64 = 1024;

impl Retention {
    /// The retention that a configuration asks for.
    #[must_use]
    pub fn from_config(snapshots: &dormouse_config::Snapshots) -> Self {
        let keep_count = usize::try_from(snapshots.keep_count.get()).unwrap_or(usize::MAX);
        let keep_sparse = usize::try_from(snapshots.keep_sparse).unwrap_or(usize::MAX);
        Self { keep_count, max_age: snapshots.max_age, keep_sparse }
    }

    /// The history is cut into pieces of this many versions, and the earliest snapshot of each piece but the first is
    /// kept. The pieces grow by doubling, so that the snapshots kept of a longer history are among those kept before.
    #[must_use]
    pub fn sparse_step(&self, latest: Version) -> Version {
        let Ok(pieces @ 1..) = u64::try_from(self.keep_sparse) else { return Version(i64::MAX.cast_unsigned()) };
        Version(latest.0.div_ceil(pieces).next_power_of_two().max(SPARSE_STEP_MIN))
    }

    /// The time before which snapshots are dropped.
    #[must_use]
    pub fn oldest(&self, now: dormouse_kernel::Timestamp) -> dormouse_kernel::Timestamp {
        now.checked_sub(self.max_age).unwrap_or(dormouse_kernel::Timestamp::MIN)
    }
}

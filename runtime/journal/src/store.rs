//! Where the rows are kept: the contract, and the three stores that keep it.

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

/// An ownership of the journal, and where the log ended when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The epoch that appends must carry.
    pub epoch: Epoch,
    /// The position of the last event; zero if there is none.
    pub head: Position,
}

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To take it over and append; its schema is brought up to date first.
    Own,
    /// To read beside its owner; nothing is changed.
    Read,
}

/// How many connections a store has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// In use right now.
    pub active: u32,
    /// The most there may be.
    pub max: u32,
}

/// Keeps the log and the snapshots.
///
/// Versions and command keys are checked by the journal's writer before it commits; a store may check them again (a
/// unique index) but need not. Every method may be called from many tasks at once, except [`acquire`](Self::acquire)
/// and [`commit`](Self::commit), which only the one writer calls, one at a time. No future is ever dropped half-way by
/// the writer; those of reads may be.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// Takes the journal over, or confirms it with a new epoch.
    ///
    /// The new epoch is greater than every earlier one, and once this returns no commit with an earlier epoch can
    /// succeed any more, also none that is already under way: it has either happened, and then the returned head
    /// includes it, or it never will. With `previous`, this succeeds only if that epoch is still in force.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if `previous` is no longer in force.
    async fn acquire(&self, previous: Option<Epoch>) -> Result<Ownership, StoreError>;

    /// Appends a batch, all of it or nothing, and returns once it is durable: it survives a crash of the process and a
    /// loss of power.
    ///
    /// The batch is not empty; its positions start right after the head and have no gaps.
    ///
    /// # Errors
    /// [`CommitError::Unknown`] unless it is certain that nothing was or will be committed.
    async fn commit(&self, epoch: Epoch, batch: &[Placed]) -> Result<(), CommitError>;

    /// The versions of these aggregates, in the same order, with all that is committed; zero for one without events.
    async fn versions(&self, aggregates: &[AggregateRef]) -> Result<Vec<Version>, StoreError>;

    /// The version of the first event of the aggregate's command with this key.
    async fn find_command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<Option<Version>, StoreError>;

    /// The events of an aggregate after a version, in order, within `limit`. Everything whose commit had returned before
    /// the call is seen, nothing that is not durable.
    ///
    /// The read itself ends at the limit: what does not fit the page is not brought into memory first.
    async fn read_aggregate(
        &self,
        aggregate: &AggregateRef,
        after: Version,
        limit: PageLimit,
    ) -> Result<Page, StoreError>;

    /// The events after a position, in order and without gaps, within `limit`; the same holds.
    async fn read_log(&self, after: Position, limit: PageLimit) -> Result<Page, StoreError>;

    /// Of the events after a position up to `until`, which are known to be durable, those that meet a filter, within `limit`.
    ///
    /// What does not meet it is passed over where it is: its payload is not read. The caller bounds how many are looked at.
    async fn select_log(
        &self,
        after: Position,
        until: Position,
        filter: &LogFilter,
        limit: PageLimit,
    ) -> Result<Page, StoreError>;

    /// The position of the last committed event; zero if there is none. It asks the storage, so it also tells whether
    /// it answers.
    async fn head(&self) -> Result<Position, StoreError>;

    /// The epoch in force, as the storage has it: an owner whose epoch is another has been succeeded.
    async fn epoch(&self) -> Result<Epoch, StoreError>;

    /// Keeps snapshots, replacing those of the same version, and drops the aggregate's superfluous ones. They need not
    /// be durable, and must not hold up commits.
    async fn save_snapshots(&self, snapshots: &[Snapshot]) -> Result<(), StoreError>;

    /// The latest undamaged snapshot that is part of the wanted state.
    async fn snapshot(&self, aggregate: &AggregateRef, as_of: AsOf) -> Result<Option<Snapshot>, StoreError>;

    /// Aggregates of a type that have snapshots, by their ids, behind one of them.
    async fn snapshotted(
        &self,
        aggregate_type: &AggregateType,
        after: Option<&AggregateId>,
        limit: usize,
    ) -> Result<Vec<AggregateId>, StoreError>;

    /// How many aggregates of a type have snapshots.
    async fn count_snapshotted(&self, aggregate_type: &AggregateType) -> Result<u64, StoreError>;

    /// How busy it is.
    fn connections(&self) -> Connections;

    /// Finishes what runs behind the commits and lets go of the storage. Reads and commits fail afterwards.
    async fn close(&self);

    /// How the replicas do that the log is read from, too. None, if there can be none.
    fn replicas(&self) -> Vec<ReplicaStatus> {
        Vec::new()
    }
}

/// How many snapshots of an aggregate are kept, and for how long. The latest is always kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Snapshots per aggregate.
    pub keep_count: usize,
    /// Age past which a snapshot is dropped.
    pub max_age: std::time::Duration,
    /// Beyond those, and whatever their age: at most so many, spread over the history.
    pub keep_sparse: usize,
}

/// Replaying fewer events costs hardly more than reading a snapshot does.
const SPARSE_STEP_MIN: u64 = 1024;

impl Retention {
    /// From the configuration.
    #[must_use]
    pub fn from_config(snapshots: &dormouse_config::Snapshots) -> Self {
        let keep_count = usize::try_from(snapshots.keep_count.get()).unwrap_or(usize::MAX);
        let keep_sparse = usize::try_from(snapshots.keep_sparse).unwrap_or(usize::MAX);
        Self { keep_count, max_age: snapshots.max_age, keep_sparse }
    }

    /// A history is cut into pieces of so many versions; of each but the first, the earliest snapshot is kept. They grow by
    /// doubling, so that what is kept of a longer history is part of what was kept of it before.
    #[must_use]
    pub fn sparse_step(&self, latest: Version) -> Version {
        let Ok(pieces @ 1..) = u64::try_from(self.keep_sparse) else { return Version(i64::MAX.cast_unsigned()) };
        Version(latest.0.div_ceil(pieces).next_power_of_two().max(SPARSE_STEP_MIN))
    }

    /// Snapshots taken before this are dropped.
    #[must_use]
    pub fn oldest(&self, now: dormouse_kernel::Timestamp) -> dormouse_kernel::Timestamp {
        now.checked_sub(self.max_age).unwrap_or(dormouse_kernel::Timestamp::MIN)
    }
}

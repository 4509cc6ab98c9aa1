//! The log in memory: for tests, for measurements without a disk, and for data that need not last.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, CommandKey, Epoch, Position, Version};

use super::{Connections, Ownership, Placed, Retention, Store};
use crate::error::{CommitError, StoreError};
use crate::filter::LogFilter;
use crate::page::{Page, PageLimit, Room};
use crate::snapshot::{AsOf, Snapshot};

/// Keeps everything in memory, and loses it with the process.
#[derive(Debug)]
pub struct Memory {
    retention: Retention,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    closed: bool,
    epoch: Epoch,
    log: Vec<Placed>,
    head: Position,
    /// Where in `log` the appends of an aggregate are, in order.
    aggregates: HashMap<AggregateRef, Vec<usize>>,
    commands: HashMap<(AggregateRef, CommandKey), Version>,
    snapshots: HashMap<AggregateRef, BTreeMap<Version, Snapshot>>,
}

impl Memory {
    /// An empty log.
    #[must_use]
    pub fn new(retention: Retention) -> Self {
        Self { retention, rows: Mutex::default() }
    }

    fn rows(&self) -> Result<MutexGuard<'_, Rows>, StoreError> {
        let rows = self.lock();
        if rows.closed { Err(StoreError::Unavailable("the journal is closed".to_owned())) } else { Ok(rows) }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        // A panic cannot leave a change half made.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Memory {
    async fn acquire(&self, previous: Option<Epoch>) -> Result<Ownership, StoreError> {
        let mut rows = self.rows()?;
        if previous.is_some_and(|previous| previous != rows.epoch) {
            return Err(StoreError::Fenced);
        }
        rows.epoch = rows.epoch.next();
        Ok(Ownership { epoch: rows.epoch, head: rows.head })
    }

    async fn commit(&self, epoch: Epoch, batch: &[Placed]) -> Result<(), CommitError> {
        let mut rows = self.rows().map_err(|error| CommitError::Refused(error.to_string()))?;
        if rows.epoch != epoch {
            return Err(CommitError::Fenced);
        }
        for placed in batch {
            let index = rows.log.len();
            let append = &placed.append;
            if let Some(key) = append.command_key() {
                rows.commands.insert((append.aggregate.clone(), key.clone()), append.expected.next());
            }
            match rows.aggregates.get_mut(&append.aggregate) {
                Some(indexes) => indexes.push(index),
                None => _ = rows.aggregates.insert(append.aggregate.clone(), vec![index]),
            }
            rows.head = placed.last();
            rows.log.push(placed.clone());
        }
        Ok(())
    }

    async fn versions(&self, aggregates: &[AggregateRef]) -> Result<Vec<Version>, StoreError> {
        let rows = self.rows()?;
        let version = |aggregate| {
            let last = rows.aggregates.get(aggregate).and_then(|indexes| indexes.last());
            last.map_or(Version::ZERO, |index| rows.log[*index].append.last_version())
        };
        Ok(aggregates.iter().map(version).collect())
    }

    async fn find_command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<Option<Version>, StoreError> {
        Ok(self.rows()?.commands.get(&(aggregate.clone(), key.clone())).copied())
    }

    async fn read_aggregate(
        &self,
        aggregate: &AggregateRef,
        after: Version,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let rows = self.rows()?;
        let Some(indexes) = rows.aggregates.get(aggregate) else { return Ok(Page::default()) };
        let start = indexes.partition_point(|index| rows.log[*index].append.last_version() <= after);
        Ok(Placed::page(
            indexes[start..].iter().map(|index| &rows.log[*index]),
            after,
            Position::ZERO,
            Room::new(limit),
        ))
    }

    async fn read_log(&self, after: Position, limit: PageLimit) -> Result<Page, StoreError> {
        let rows = self.rows()?;
        let start = rows.log.partition_point(|placed| placed.last() <= after);
        Ok(Placed::page(rows.log[start..].iter(), Version::ZERO, after, Room::new(limit)))
    }

    async fn select_log(
        &self,
        after: Position,
        until: Position,
        filter: &LogFilter,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let rows = self.rows()?;
        let start = rows.log.partition_point(|placed| placed.last() <= after);
        let appends = rows.log[start..].iter().take_while(|placed| placed.first <= until);
        let (mut page, mut room) = (Page::default(), Room::new(limit));
        for (position, index, placed) in appends.flat_map(Placed::places) {
            let event = &placed.append.events[index];
            if position <= after || position > until || !filter.wants(&placed.append.aggregate, event) {
                continue;
            }
            if !room.take(event.size_bytes()) {
                page.is_cut = true;
                return Ok(page);
            }
            page.events.push(placed.row(index));
        }
        page.is_cut = room.is_used_up();
        Ok(page)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        Ok(self.rows()?.head)
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        Ok(self.rows()?.epoch)
    }

    async fn save_snapshots(&self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        let mut rows = self.rows()?;
        for snapshot in snapshots {
            let oldest = self.retention.oldest(snapshot.taken_at);
            let kept = rows.snapshots.entry(snapshot.aggregate.clone()).or_default();
            kept.insert(snapshot.version, snapshot.clone());
            let step = self.retention.sparse_step(snapshot.version);
            let mut pieces = HashSet::new();
            let is_first = |version: &&Version| **version >= step && pieces.insert(version.0 / step.0);
            let sparse: HashSet<Version> = kept.keys().filter(is_first).copied().collect();
            let latest = kept.keys().next_back().copied();
            let newest: HashSet<Version> = kept.keys().rev().take(self.retention.keep_count).copied().collect();
            kept.retain(|version, kept| {
                let is_recent = newest.contains(version) && kept.taken_at >= oldest;
                is_recent || Some(*version) == latest || sparse.contains(version)
            });
        }
        Ok(())
    }

    async fn snapshot(&self, aggregate: &AggregateRef, as_of: AsOf) -> Result<Option<Snapshot>, StoreError> {
        let rows = self.rows()?;
        let snapshots = rows.snapshots.get(aggregate).into_iter().flat_map(|kept| kept.values().rev());
        Ok(snapshots.into_iter().find(|kept| as_of.includes(kept.version, kept.recorded_at)).cloned())
    }

    async fn snapshotted(
        &self,
        aggregate_type: &AggregateType,
        after: Option<&AggregateId>,
        limit: usize,
    ) -> Result<Vec<AggregateId>, StoreError> {
        let rows = self.rows()?;
        let of_type = rows.snapshots.keys().filter(|aggregate| aggregate.aggregate_type == *aggregate_type);
        let following =
            of_type.map(|aggregate| &aggregate.id).filter(|id| after.is_none_or(|after| id.as_str() > after.as_str()));
        let mut ids: Vec<AggregateId> = following.cloned().collect();
        ids.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        ids.truncate(limit);
        Ok(ids)
    }

    async fn count_snapshotted(&self, aggregate_type: &AggregateType) -> Result<u64, StoreError> {
        let rows = self.rows()?;
        Ok(rows.snapshots.keys().filter(|aggregate| aggregate.aggregate_type == *aggregate_type).count() as u64)
    }

    fn connections(&self) -> Connections {
        Connections::default()
    }

    async fn close(&self) {
        self.lock().closed = true;
    }
}

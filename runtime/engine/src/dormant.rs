//! The dormant tier keeps aggregates that sleep as bytes in memory, within a budget.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use dormouse_kernel::AggregateRef;
use lru::LruCache;

use crate::aggregate::DormantSnapshot;

/// The tier has this many partitions, each with its own lock and share of the budget.
const PARTITIONS: usize = 16;

/// About how many bytes an entry takes besides its snapshot: the map entry, the LRU links and the aggregate's name.
const ENTRY_BYTES: usize = 256;

/// The dormant snapshots of aggregates that sleep. Beyond the budget the least recently used are dropped.
///
/// An entry is valid as long as this node owns the journal without interruption. A wake-up takes the entry out, so no
/// entry lacks events that the journal has.
#[derive(Debug)]
pub(crate) struct DormantTier {
    partitions: Vec<Mutex<Partition>>,
    partition_budget_bytes: usize,
    count: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Debug)]
struct Partition {
    snapshots: LruCache<AggregateRef, DormantSnapshot>,
    bytes: usize,
}

impl DormantTier {
    pub(crate) fn new(budget_bytes: usize) -> Self {
        let partition = || Mutex::new(Partition { snapshots: LruCache::unbounded(), bytes: 0 });
        Self {
            partitions: std::iter::repeat_with(partition).take(PARTITIONS).collect(),
            partition_budget_bytes: budget_bytes / PARTITIONS,
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Keeps a snapshot, unless it is larger than the budget of its partition. Others may be dropped to make room.
    pub(crate) fn put(&self, aggregate: AggregateRef, dormant: DormantSnapshot) {
        let size = size_bytes(&dormant);
        if size > self.partition_budget_bytes {
            // An older snapshot must not be found in its place.
            self.take(&aggregate);
            return;
        }
        self.with_partition(&aggregate, |partition| {
            if let Some(replaced) = partition.snapshots.put(aggregate.clone(), dormant) {
                self.count_removed(partition, &replaced);
            }
            partition.bytes += size;
            self.bytes.fetch_add(size, Ordering::Relaxed);
            self.count.fetch_add(1, Ordering::Relaxed);
            while partition.bytes > self.partition_budget_bytes
                && let Some((_, evicted)) = partition.snapshots.pop_lru()
            {
                self.count_removed(partition, &evicted);
            }
        });
    }

    /// Takes a snapshot out, for a wake-up or because it is outdated.
    pub(crate) fn take(&self, aggregate: &AggregateRef) -> Option<DormantSnapshot> {
        self.with_partition(aggregate, |partition| {
            let dormant = partition.snapshots.pop(aggregate)?;
            self.count_removed(partition, &dormant);
            Some(dormant)
        })
    }

    /// How many aggregates are dormant.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// About how many bytes of memory they take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn count_removed(&self, partition: &mut Partition, dormant: &DormantSnapshot) {
        let size = size_bytes(dormant);
        partition.bytes -= size;
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    fn with_partition<T>(&self, aggregate: &AggregateRef, change: impl FnOnce(&mut Partition) -> T) -> T {
        let mut hasher = DefaultHasher::new();
        aggregate.hash(&mut hasher);
        let partition = &self.partitions[hasher.finish() as usize % PARTITIONS];
        change(&mut partition.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn size_bytes(dormant: &DormantSnapshot) -> usize {
    dormant.size_bytes() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{AggregateId, AggregateType};

    use super::*;

    fn name(number: usize) -> AggregateRef {
        let id = AggregateId::new(format!("a-{number}")).unwrap();
        AggregateRef::new(AggregateType::new("account").unwrap(), id)
    }

    /// What a snapshot of a thousand bytes takes.
    const COST: usize = 1_000 + ENTRY_BYTES;

    fn dormant(version: u64) -> DormantSnapshot {
        DormantSnapshot::of_bytes(version, 1_000)
    }

    /// Aggregates of one partition, so that the order in which they are dropped is known.
    fn partition_mates(count: usize) -> Vec<AggregateRef> {
        let partition = |aggregate: &AggregateRef| {
            let mut hasher = DefaultHasher::new();
            aggregate.hash(&mut hasher);
            hasher.finish() as usize % PARTITIONS
        };
        (0..).map(name).filter(|aggregate| partition(aggregate) == 0).take(count).collect()
    }

    #[test]
    fn a_snapshot_can_be_taken_once() {
        let tier = DormantTier::new(COST * PARTITIONS);
        tier.put(name(1), dormant(7));
        assert_eq!((tier.count(), tier.bytes()), (1, COST));
        assert_eq!(tier.take(&name(1)), Some(dormant(7)));
        assert_eq!(tier.take(&name(1)), None);
        assert_eq!((tier.count(), tier.bytes()), (0, 0));
    }

    #[test]
    fn the_oldest_snapshot_is_dropped_first() {
        let tier = DormantTier::new(3 * COST * PARTITIONS);
        let mates = partition_mates(4);
        mates.iter().for_each(|mate| tier.put(mate.clone(), dormant(1)));
        assert_eq!((tier.count(), tier.bytes()), (3, 3 * COST));
        assert_eq!(tier.take(&mates[0]), None);
        assert!(mates[1..].iter().all(|mate| tier.take(mate).is_some()));
        assert_eq!((tier.count(), tier.bytes()), (0, 0));
    }

    #[test]
    fn a_newer_snapshot_replaces_the_older() {
        let tier = DormantTier::new(2 * COST * PARTITIONS);
        tier.put(name(1), dormant(1));
        tier.put(name(1), dormant(2));
        assert_eq!((tier.count(), tier.bytes()), (1, COST));
        assert_eq!(tier.take(&name(1)), Some(dormant(2)));
    }

    #[test]
    fn a_snapshot_that_does_not_fit_removes_the_older_one() {
        let tier = DormantTier::new(COST * PARTITIONS);
        tier.put(name(1), dormant(1));
        tier.put(name(1), DormantSnapshot::of_bytes(2, 1_001));
        assert_eq!(tier.take(&name(1)), None);
        assert_eq!((tier.count(), tier.bytes()), (0, 0));
    }

    #[test]
    fn without_a_budget_no_snapshot_is_kept() {
        let tier = DormantTier::new(0);
        tier.put(name(1), DormantSnapshot::of_bytes(1, 0));
        assert_eq!((tier.count(), tier.bytes()), (0, 0));
    }
}

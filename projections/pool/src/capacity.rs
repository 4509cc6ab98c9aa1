//! How much the projections of a node may do at the same time. Operators can change it while they run.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dormouse_journal::SharedReads;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::limits::EVENTS_IN_A_PART;

/// Shared by all workers.
#[derive(Debug)]
pub struct Capacity {
    permits: Semaphore,
    batches: Mutex<BatchPermits>,
    parts: AtomicUsize,
    /// Views that are built at the same time read the log together.
    pub(crate) reads: SharedReads,
}

/// How many permits there are.
#[derive(Debug)]
struct BatchPermits {
    wanted: usize,
    /// More than wanted while permits that should be removed are still in use.
    existing: usize,
}

/// The permit for a batch in progress. Dropping it lets another batch begin.
#[derive(Debug)]
pub(crate) struct BatchPermit<'c> {
    capacity: &'c Capacity,
    permit: Option<SemaphorePermit<'c>>,
}

impl Capacity {
    /// At most this many batches at the same time, each decoded in at most this many parts.
    #[must_use]
    pub fn new(batches: NonZeroUsize, parts: NonZeroUsize) -> Self {
        let batches = batches.get();
        Self {
            permits: Semaphore::new(batches),
            batches: Mutex::new(BatchPermits { wanted: batches, existing: batches }),
            parts: AtomicUsize::new(parts.get()),
            reads: SharedReads::default(),
        }
    }

    /// Changes both. Batches in progress are finished.
    pub fn configure(&self, batches: NonZeroUsize, parts: NonZeroUsize) {
        self.parts.store(parts.get(), Ordering::Relaxed);
        let mut counted = self.lock();
        counted.wanted = batches.get();
        if counted.wanted > counted.existing {
            self.permits.add_permits(counted.wanted - counted.existing);
            counted.existing = counted.wanted;
        } else {
            counted.existing -= self.permits.forget_permits(counted.existing - counted.wanted);
        }
    }

    /// Waits for the permit to begin a batch.
    pub(crate) async fn acquire(&self) -> BatchPermit<'_> {
        // The semaphore is never closed.
        BatchPermit { capacity: self, permit: self.permits.acquire().await.ok() }
    }

    /// The number of parts in which this many events are decoded. Small batches are faster in one part.
    pub(crate) fn parts(&self, events: usize) -> usize {
        self.parts.load(Ordering::Relaxed).min(events / EVENTS_IN_A_PART).max(1)
    }

    fn lock(&self) -> MutexGuard<'_, BatchPermits> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BatchPermit<'_> {
    fn drop(&mut self) {
        let mut counted = self.capacity.lock();
        if counted.existing > counted.wanted {
            counted.existing -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: usize) -> NonZeroUsize {
        number.try_into().unwrap()
    }

    fn free(capacity: &Capacity) -> usize {
        capacity.permits.available_permits()
    }

    #[tokio::test]
    async fn no_more_batches_are_in_progress_than_are_allowed() {
        let capacity = Capacity::new(number(2), number(1));
        let (one, _other) = (capacity.acquire().await, capacity.acquire().await);
        assert_eq!(free(&capacity), 0);
        drop(one);
        assert_eq!(free(&capacity), 1);
    }

    #[tokio::test]
    async fn a_removed_permit_disappears_when_its_batch_is_done() {
        let capacity = Capacity::new(number(3), number(1));
        let (one, other) = (capacity.acquire().await, capacity.acquire().await);
        capacity.configure(number(1), number(1));
        assert_eq!(free(&capacity), 0);
        drop(one);
        assert_eq!(free(&capacity), 0, "one batch is in progress, and no more are allowed");
        drop(other);
        assert_eq!(free(&capacity), 1);
        capacity.configure(number(4), number(1));
        assert_eq!(free(&capacity), 4);
    }

    #[tokio::test]
    async fn the_number_of_permits_may_grow_again_before_all_are_returned() {
        let capacity = Capacity::new(number(3), number(1));
        let all = [capacity.acquire().await, capacity.acquire().await, capacity.acquire().await];
        capacity.configure(number(1), number(1));
        capacity.configure(number(2), number(1));
        drop(all);
        assert_eq!(free(&capacity), 2);
    }

    #[test]
    fn only_large_batches_are_divided() {
        let capacity = Capacity::new(number(1), number(4));
        let parts =
            [0, 1, EVENTS_IN_A_PART, 3 * EVENTS_IN_A_PART, 100 * EVENTS_IN_A_PART].map(|events| capacity.parts(events));
        assert_eq!(parts, [1, 1, 1, 3, 4]);
    }
}

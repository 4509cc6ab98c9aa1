//! The ring: the latest commits, in memory, shared by all feeds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse_kernel::{Chain, Position};

use super::PAGE_BYTES;
use crate::append::{Append, Placed};

/// Most events in the ring. A feed that needs half a second for a page still reads from the ring at 60,000 events a
/// second.
const RING_EVENTS: usize = 32_768;

/// Most bytes of these events: the limit that counts when events are large.
const RING_BYTES: usize = 32 << 20;

/// The latest commits, kept while there are feeds.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    feeds: AtomicUsize,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Without gaps.
    batches: VecDeque<Batch>,
    events: usize,
    bytes: usize,
}

/// One commit; never empty.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) appends: Arc<[Placed]>,
    events: usize,
    bytes: usize,
}

impl Ring {
    /// Adds a commit that is durable. Without feeds it does nothing.
    pub(crate) fn push(&self, committed: Vec<Placed>) {
        if self.feeds.load(Ordering::Relaxed) == 0 || committed.is_empty() {
            return;
        }
        let appends = || committed.iter().map(|placed| &*placed.append);
        let events = appends().map(|append| append.events.len()).sum();
        let bytes = appends().map(Append::size_bytes).sum();
        let batch = Batch { appends: committed.into(), events, bytes };
        let dropped = {
            let mut recent = self.recent();
            // The last feed may have ended since the check above.
            if self.feeds.load(Ordering::Relaxed) == 0 { Vec::new() } else { recent.push(batch) }
        };
        drop(dropped);
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        // A panic cannot leave a change half made.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chain of the event at a position, if the ring has it.
    pub(crate) fn chain_at(&self, position: Position) -> Option<Chain> {
        let recent = self.recent();
        let batch = recent.batches.partition_point(|batch| batch.last() < position);
        let appends = &recent.batches.get(batch)?.appends;
        let placed = appends.get(appends.partition_point(|placed| placed.last() < position))?;
        let index = usize::try_from(position.0.checked_sub(placed.first.0)?).ok()?;
        placed.append.events.get(index).map(|event| event.chain)
    }

    pub(super) fn subscribe(&self) {
        self.feeds.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unsubscribe(&self) {
        let dropped = {
            let mut recent = self.recent();
            let was_last = self.feeds.fetch_sub(1, Ordering::Relaxed) == 1;
            if was_last { std::mem::take(&mut *recent) } else { Recent::default() }
        };
        drop(dropped);
    }

    /// The commits with the events after a position, up to `limit` events and [`PAGE_BYTES`]. Empty: there are none
    /// yet. `None`: the ring does not have them any more, or never had them.
    pub(super) fn after(&self, position: Position, limit: usize) -> Option<Vec<Batch>> {
        let recent = self.recent();
        let first = recent.batches.front()?.first();
        if position.next() < first {
            return None;
        }
        let start = recent.batches.partition_point(|batch| batch.last() <= position);
        let (mut events, mut bytes) = (0, 0);
        let wanted = recent.batches.range(start..).take_while(|batch| {
            let has_room = events < limit && bytes < PAGE_BYTES;
            // The first commit may begin before the position.
            let known = (position.0 + 1).saturating_sub(batch.first().0);
            events += batch.events - usize::try_from(known).unwrap_or(batch.events);
            bytes += batch.bytes;
            has_room
        });
        Some(wanted.cloned().collect())
    }
}

impl Recent {
    /// Adds a commit. Returns the commits that no longer fit, so that the caller drops them without the lock.
    fn push(&mut self, batch: Batch) -> Vec<Batch> {
        let mut dropped = Vec::new();
        if self.batches.back().is_some_and(|last| last.last().next() != batch.first()) {
            // Another owner appended in between.
            dropped.extend(std::mem::take(self).batches);
        }
        self.events += batch.events;
        self.bytes += batch.bytes;
        self.batches.push_back(batch);
        while self.events > RING_EVENTS || self.bytes > RING_BYTES {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.events -= oldest.events;
            self.bytes -= oldest.bytes;
            dropped.push(oldest);
        }
        dropped
    }
}

impl Batch {
    fn first(&self) -> Position {
        self.appends.first().map_or(Position::ZERO, |placed| placed.first)
    }

    fn last(&self) -> Position {
        self.appends.last().map_or(Position::ZERO, Placed::last)
    }
}

/// What a commit of `appends` appends announces, each of `events` events, whose payload has `payload` bytes.
#[cfg(test)]
pub(super) fn commit_of(first: u64, appends: u64, events: usize, payload: usize) -> Vec<Placed> {
    use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, NewEvent, Timestamp, Version};

    let aggregate = AggregateRef::new(AggregateType::new("a").unwrap(), AggregateId::new("a").unwrap());
    let event = NewEvent {
        event_type: "happened".into(),
        schema_version: 1,
        payload: vec![0; payload],
        metadata: Vec::new(),
        recorded_at: Timestamp::UNIX_EPOCH,
        chain: Chain::ROOT,
    };
    let placed = |number: u64| {
        let first = first + number * events as u64;
        let expected = Version(first - 1);
        let append = Append { aggregate: aggregate.clone(), expected, key: None, events: vec![event.clone(); events] };
        Placed { first: Position(first), append: Arc::new(append) }
    };
    (0..appends).map(placed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscribed() -> Ring {
        let ring = Ring::default();
        ring.subscribe();
        ring
    }

    fn extent(batches: &[Batch]) -> (u64, u64) {
        (batches.first().map_or(0, |batch| batch.first().0), batches.last().map_or(0, |batch| batch.last().0))
    }

    #[test]
    fn without_feeds_the_ring_keeps_nothing() {
        let ring = Ring::default();
        let committed = commit_of(1, 3, 1, 1);
        let append = Arc::clone(&committed[0].append);
        ring.push(committed.clone());
        drop(committed);
        assert_eq!(Arc::strong_count(&append), 1);
        ring.subscribe();
        ring.push(commit_of(4, 3, 1, 1));
        ring.unsubscribe();
        assert!(ring.recent().batches.is_empty());
    }

    #[test]
    fn a_commit_is_shared_and_not_copied() {
        let ring = subscribed();
        let committed = commit_of(1, 1, 1, 1);
        let append = Arc::clone(&committed[0].append);
        ring.push(committed);
        for _ in 0..10 {
            let taken = ring.after(Position(0), 100).unwrap();
            assert!(Arc::ptr_eq(&taken[0].appends[0].append, &append));
        }
        assert_eq!(Arc::strong_count(&append), 2);
    }

    #[test]
    fn memory_is_bounded_by_events_and_by_bytes() {
        for (payload, appends) in [(0, 1024), (1 << 20, 4)] {
            let ring = subscribed();
            for number in 0..100 {
                ring.push(commit_of(1 + number * appends, appends, 1, payload));
            }
            let recent = ring.recent();
            assert!(recent.events <= RING_EVENTS && recent.bytes <= RING_BYTES, "{} {}", recent.events, recent.bytes);
            assert!(recent.events > RING_EVENTS / 2 || recent.bytes > RING_BYTES / 2);
            assert_eq!(recent.events, recent.batches.iter().map(|batch| batch.events).sum::<usize>());
            assert_eq!(recent.bytes, recent.batches.iter().map(|batch| batch.bytes).sum::<usize>());
            assert_eq!(recent.batches.back().unwrap().last(), Position(100 * appends));
        }
    }

    #[test]
    fn a_commit_that_is_larger_than_the_ring_is_read_from_the_log() {
        let ring = subscribed();
        ring.push(commit_of(1, 1, 1, 1));
        ring.push(commit_of(2, 1, 1, RING_BYTES));
        assert!(ring.after(Position(0), 10).is_none());
    }

    #[test]
    fn the_events_after_a_position_are_found_or_known_to_be_missing() {
        let ring = subscribed();
        assert!(ring.after(Position(0), 10).is_none());
        for first in [11, 17, 23] {
            ring.push(commit_of(first, 3, 2, 1));
        }
        assert!(ring.after(Position(9), 10).is_none(), "event ten is older than all in the ring");
        assert_eq!(extent(&ring.after(Position(10), usize::MAX).unwrap()), (11, 28));
        assert_eq!(extent(&ring.after(Position(16), usize::MAX).unwrap()), (17, 28));
        assert_eq!(extent(&ring.after(Position(19), usize::MAX).unwrap()), (17, 28));
        assert_eq!(extent(&ring.after(Position(19), 3).unwrap()), (17, 22));
        assert_eq!(extent(&ring.after(Position(19), 4).unwrap()), (17, 28));
        assert!(ring.after(Position(28), 10).unwrap().is_empty());
    }

    #[test]
    fn after_a_gap_the_ring_keeps_only_what_follows_it() {
        let ring = subscribed();
        ring.push(commit_of(1, 1, 1, 1));
        ring.push(commit_of(5, 1, 1, 1));
        assert!(ring.after(Position(0), 10).is_none());
        assert_eq!(extent(&ring.after(Position(4), 10).unwrap()), (5, 5));
        assert_eq!(ring.recent().events, 1);
    }
}

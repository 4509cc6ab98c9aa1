//! Permits: what bounds the mailboxes, which bound nothing themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// What everybody who talks to a live aggregate shares with it: how many requests are with it, and when the last came.
#[derive(Debug)]
pub(crate) struct Slot {
    admitted: AtomicU32,
    /// Milliseconds since the node started.
    last_used: AtomicU64,
    /// It has no events: nothing is lost, and little gained, if it goes to sleep at once.
    empty: AtomicBool,
    /// It was told to sleep: its place is about to be free.
    falling_asleep: AtomicBool,
}

impl Slot {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            admitted: AtomicU32::new(0),
            last_used: AtomicU64::new(now),
            empty: AtomicBool::new(false),
            falling_asleep: AtomicBool::new(false),
        }
    }

    /// Admits one more request, unless `limit` are there already. Call it under the directory's guard: that is what
    /// keeps it from racing with [`is_unused`](Self::is_unused).
    pub(crate) fn admit(self: &Arc<Self>, now: u64, limit: u32) -> Option<Admitted> {
        if self.admitted.fetch_add(1, Ordering::AcqRel) >= limit {
            self.admitted.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        self.last_used.store(now, Ordering::Relaxed);
        Some(Admitted(Arc::clone(self)))
    }

    /// No request is with the aggregate: none in its mailbox, none waiting for a commit.
    pub(crate) fn is_unused(&self) -> bool {
        self.admitted.load(Ordering::Acquire) == 0
    }

    pub(crate) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    pub(crate) fn set_empty(&self, empty: bool) {
        self.empty.store(empty, Ordering::Relaxed);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.empty.load(Ordering::Relaxed)
    }

    pub(crate) fn fall_asleep(&self) {
        self.falling_asleep.store(true, Ordering::Release);
    }

    pub(crate) fn is_falling_asleep(&self) -> bool {
        self.falling_asleep.load(Ordering::Acquire)
    }
}

/// One request's place with an aggregate, given back when dropped. It travels with the request until it is answered.
#[derive(Debug)]
pub(crate) struct Admitted(Arc<Slot>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.admitted.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The node's places for requests. A counter and not a semaphore: nobody waits for a place, and a semaphore takes a lock
/// whenever one is given back.
#[derive(Debug)]
pub(crate) struct Places {
    /// How many are taken, and whether more may be ([`CLOSED`](Self::CLOSED)).
    taken: AtomicUsize,
    max: usize,
    all_free: Notify,
}

/// Why a request gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    Full,
    Closed,
}

impl Places {
    const CLOSED: usize = 1 << (usize::BITS - 1);

    pub(crate) fn new(max: usize) -> Self {
        Self { taken: AtomicUsize::new(0), max, all_free: Notify::new() }
    }

    pub(crate) fn take(self: &Arc<Self>) -> Result<Place, NoPlace> {
        let taken = self.taken.fetch_add(1, Ordering::AcqRel);
        if taken < self.max {
            return Ok(Place(Arc::clone(self)));
        }
        self.give_back();
        Err(if taken & Self::CLOSED == 0 { NoPlace::Full } else { NoPlace::Closed })
    }

    /// No more places are given from here on.
    pub(crate) fn close(&self) {
        self.taken.fetch_or(Self::CLOSED, Ordering::AcqRel);
    }

    /// After [`close`](Self::close): waits until every place is back.
    pub(crate) async fn all_free(&self) {
        loop {
            let freed = self.all_free.notified();
            if self.in_use() == 0 {
                return;
            }
            freed.await;
        }
    }

    pub(crate) fn in_use(&self) -> usize {
        (self.taken.load(Ordering::Acquire) & !Self::CLOSED).min(self.max)
    }

    fn give_back(&self) {
        if self.taken.fetch_sub(1, Ordering::AcqRel) == Self::CLOSED | 1 {
            self.all_free.notify_waiters();
        }
    }
}

/// One request's place on the node, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// A request's places: with its aggregate, and on the node.
#[derive(Debug)]
pub(crate) struct Permits {
    pub(crate) aggregate: Admitted,
    pub(crate) node: Place,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_has_so_many_places_and_no_more() {
        let places = Arc::new(Places::new(2));
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        assert_eq!(places.take().unwrap_err(), NoPlace::Full);
        assert_eq!(places.in_use(), 2);
        drop(first);
        assert!(places.take().is_ok());
        drop(second);
        assert_eq!(places.in_use(), 0);
    }

    #[tokio::test]
    async fn once_closed_no_place_is_given_and_the_last_to_go_is_noticed() {
        let places = Arc::new(Places::new(2));
        let last = places.take().unwrap();
        places.close();
        assert_eq!(places.take().unwrap_err(), NoPlace::Closed);
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.all_free().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(last);
        waiting.await.unwrap();
        places.all_free().await;
    }

    #[test]
    fn a_place_is_given_back_when_its_request_is_answered() {
        let slot = Arc::new(Slot::new(0));
        let first = slot.admit(1, 2);
        let second = slot.admit(2, 2);
        assert!(first.is_some() && second.is_some());
        assert!(slot.admit(3, 2).is_none(), "the limit is two");
        assert_eq!(slot.last_used(), 2, "a refused request is no use");
        drop(first);
        assert!(slot.admit(4, 2).is_some());
        drop(second);
        assert!(slot.is_unused());
    }
}

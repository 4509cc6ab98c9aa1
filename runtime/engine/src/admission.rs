//! Permits bound how many requests use an aggregate, and how many use the node. Ractor's mailboxes have no bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// What the directory, the sweep and the actor share of one activation: how many requests use the aggregate, and when
/// it was used last.
#[derive(Debug)]
pub(crate) struct ActivationState {
    /// How many requests hold a permit of the aggregate.
    admitted: AtomicU32,
    /// The time of the last request, in milliseconds since the node started.
    last_used: AtomicU64,
    /// The aggregate has no events: the next sweep puts it to sleep.
    empty: AtomicBool,
    /// The aggregate was told to sleep, and is about to end.
    falling_asleep: AtomicBool,
}

impl ActivationState {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            admitted: AtomicU32::new(0),
            last_used: AtomicU64::new(now),
            empty: AtomicBool::new(false),
            falling_asleep: AtomicBool::new(false),
        }
    }

    /// Admits one more request, unless `limit` requests use the aggregate already. The caller must hold the directory's
    /// guard, so that this does not race with [`is_unused`](Self::is_unused).
    pub(crate) fn admit(self: &Arc<Self>, now: u64, limit: u32) -> Option<AggregatePermit> {
        if self.admitted.fetch_add(1, Ordering::AcqRel) >= limit {
            self.admitted.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        self.last_used.store(now, Ordering::Relaxed);
        Some(AggregatePermit(Arc::clone(self)))
    }

    /// No request is with the aggregate: none is in its mailbox, and none waits for a commit.
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

/// A request's permit for an aggregate. It moves with the request until that is answered, and is returned when dropped.
#[derive(Debug)]
pub(crate) struct AggregatePermit(Arc<ActivationState>);

impl Drop for AggregatePermit {
    fn drop(&mut self) {
        self.0.admitted.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The node's permits for requests. They are a counter and not a semaphore: no request waits for a permit, and a
/// semaphore takes a lock whenever one is returned.
#[derive(Debug)]
pub(crate) struct NodePermits {
    /// How many are taken, and whether no more are given ([`CLOSED`](Self::CLOSED)).
    taken: AtomicUsize,
    max: usize,
    all_returned: Notify,
}

/// Why a request gets no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PermitRefused {
    Full,
    Closed,
}

impl NodePermits {
    const CLOSED: usize = 1 << (usize::BITS - 1);

    pub(crate) fn new(max: usize) -> Self {
        Self { taken: AtomicUsize::new(0), max, all_returned: Notify::new() }
    }

    pub(crate) fn take(self: &Arc<Self>) -> Result<NodePermit, PermitRefused> {
        let taken = self.taken.fetch_add(1, Ordering::AcqRel);
        if taken < self.max {
            return Ok(NodePermit(Arc::clone(self)));
        }
        self.return_one();
        Err(if taken & Self::CLOSED == 0 { PermitRefused::Full } else { PermitRefused::Closed })
    }

    /// Stops giving permits.
    pub(crate) fn close(&self) {
        self.taken.fetch_or(Self::CLOSED, Ordering::AcqRel);
    }

    /// Waits until all permits are returned. To be called after [`close`](Self::close).
    pub(crate) async fn all_returned(&self) {
        loop {
            let freed = self.all_returned.notified();
            if self.in_use() == 0 {
                return;
            }
            freed.await;
        }
    }

    pub(crate) fn in_use(&self) -> usize {
        (self.taken.load(Ordering::Acquire) & !Self::CLOSED).min(self.max)
    }

    fn return_one(&self) {
        if self.taken.fetch_sub(1, Ordering::AcqRel) == Self::CLOSED | 1 {
            self.all_returned.notify_waiters();
        }
    }
}

/// A request's permit for the node, returned when dropped.
#[derive(Debug)]
pub(crate) struct NodePermit(Arc<NodePermits>);

impl Drop for NodePermit {
    fn drop(&mut self) {
        self.0.return_one();
    }
}

/// The permits that a request holds until its aggregate answers.
#[derive(Debug)]
pub(crate) struct RequestPermits {
    pub(crate) aggregate: AggregatePermit,
    pub(crate) node: NodePermit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_gives_as_many_permits_as_it_has_and_no_more() {
        let permits = Arc::new(NodePermits::new(2));
        let (first, second) = (permits.take().unwrap(), permits.take().unwrap());
        assert_eq!(permits.take().unwrap_err(), PermitRefused::Full);
        assert_eq!(permits.in_use(), 2);
        drop(first);
        assert!(permits.take().is_ok());
        drop(second);
        assert_eq!(permits.in_use(), 0);
    }

    #[tokio::test]
    async fn once_closed_no_permit_is_given_and_the_return_of_the_last_is_noticed() {
        let permits = Arc::new(NodePermits::new(2));
        let last = permits.take().unwrap();
        permits.close();
        assert_eq!(permits.take().unwrap_err(), PermitRefused::Closed);
        let waiting = tokio::spawn({
            let permits = Arc::clone(&permits);
            async move { permits.all_returned().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(last);
        waiting.await.unwrap();
        permits.all_returned().await;
    }

    #[test]
    fn a_permit_is_returned_when_its_request_is_answered() {
        let state = Arc::new(ActivationState::new(0));
        let first = state.admit(1, 2);
        let second = state.admit(2, 2);
        assert!(first.is_some() && second.is_some());
        assert!(state.admit(3, 2).is_none(), "the limit is two");
        assert_eq!(state.last_used(), 2, "a refused request does not count as use");
        drop(first);
        assert!(state.admit(4, 2).is_some());
        drop(second);
        assert!(state.is_unused());
    }
}

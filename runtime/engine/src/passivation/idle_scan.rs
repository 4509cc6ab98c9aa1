//! When the next scan for idle aggregates can find one. Without it, every sweep would look at all live aggregates.

use std::sync::atomic::{AtomicU64, Ordering};

/// The time, in milliseconds since the node started, before which no live aggregate is due.
#[derive(Debug, Default)]
pub(crate) struct IdleScan {
    none_due_before: AtomicU64,
}

impl IdleScan {
    /// Whether a scan at the time `now` can find an aggregate that is due. If so, [`finish`](Self::finish) must follow.
    pub(crate) fn begin(&self, now: u64) -> bool {
        // If an aggregate without events is loaded during the scan, `invalidate` replaces this maximum by zero.
        self.none_due_before
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |before| (before <= now).then_some(u64::MAX))
            .is_ok()
    }

    /// Ends a scan which found that no aggregate is due before this time.
    pub(crate) fn finish(&self, none_due_before: u64) {
        self.none_due_before.fetch_min(none_due_before, Ordering::AcqRel);
    }

    /// Makes the next sweep scan in any case, because an aggregate without events is live, or a scan was not finished.
    pub(crate) fn invalidate(&self) {
        self.none_due_before.store(0, Ordering::Release);
    }
}

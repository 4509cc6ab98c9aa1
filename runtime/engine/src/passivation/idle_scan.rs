//! When the next scan for idle aggregates can find one. It keeps the sweep from looking at all live aggregates in vain.

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

    /// The scan found that no aggregate is due before this time.
    pub(crate) fn finish(&self, none_due_before: u64) {
        self.none_due_before.fetch_min(none_due_before, Ordering::AcqRel);
    }

    /// The next sweep scans in any case: an aggregate without events is live, or a scan was not finished.
    pub(crate) fn invalidate(&self) {
        self.none_due_before.store(0, Ordering::Release);
    }
}

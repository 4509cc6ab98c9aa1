//! Whether the writer makes progress, by a clock that does not depend on the writer.
//!
//! A timer in the writer would not fire while the writer or its threads hang. So the writer notes when it last finished
//! a batch, and callers compare that with the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Since when a submission has been waiting for the writer.
#[derive(Debug)]
pub(crate) struct Stall {
    started: Instant,
    patience: Duration,
    /// Milliseconds after `started`, plus one; zero while nothing waits.
    waiting_since: AtomicU64,
}

impl Stall {
    /// The writer counts as stalled when it has finished nothing for longer than `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { started: Instant::now(), patience, waiting_since: AtomicU64::new(0) }
    }

    /// Notes a submission.
    pub(crate) fn submitted(&self) {
        if self.waiting_since.load(Ordering::Relaxed) == 0 {
            // If another submitter was first, its time counts.
            let _earlier = self.waiting_since.compare_exchange(0, self.now(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Notes that the writer has finished a batch, and whether more submissions wait.
    pub(crate) fn finished(&self, more_waits: bool) {
        // A submission at this moment may be missed. The next one is not.
        self.waiting_since.store(if more_waits { self.now() } else { 0 }, Ordering::Relaxed);
    }

    /// For how long the writer has finished nothing although a submission waits. `None` if it is within `patience`.
    pub(crate) fn duration(&self) -> Option<Duration> {
        let since = self.waiting_since.load(Ordering::Relaxed).checked_sub(1)?;
        let waiting = self.started.elapsed().saturating_sub(Duration::from_millis(since));
        (waiting > self.patience).then_some(waiting)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).map_or(u64::MAX, |now| now.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_finishes_nothing_is_stalled_until_it_does() {
        let stall = Stall::new(Duration::ZERO);
        let is_stalled = || stall.duration().is_some();
        assert!(!is_stalled());
        stall.submitted();
        while !is_stalled() {
            std::thread::yield_now();
        }
        stall.finished(false);
        assert!(!is_stalled(), "nothing waits");
        stall.finished(true);
        while !is_stalled() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_writer_that_makes_progress_is_not_stalled() {
        let stall = Stall::new(Duration::from_secs(3600));
        stall.submitted();
        stall.finished(true);
        assert_eq!(stall.duration(), None);
    }
}

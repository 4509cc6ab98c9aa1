//! Sources of time and ids: those of the system in production, and others in tests.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

/// A source of time, to the microsecond, so that an event is stored with the same time that the domain has seen.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time now, in whole microseconds.
    fn now(&self) -> Timestamp;
}

/// A source of unique ids.
pub trait IdSource: Debug + Send + Sync + 'static {
    /// A new id at the time `now`.
    fn next(&self, now: Timestamp) -> Uuid;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        // The truncated time is always in range, so `now` itself is never returned.
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}

/// UUIDv7: first the time, then random bits (RFC 9562, 5.7).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    fn next(&self, now: Timestamp) -> Uuid {
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanoseconds))
    }
}

/// A clock that a test moves. It does not run on its own.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_microsecond()))
    }

    /// Sets it, forward or back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_microsecond(), Ordering::SeqCst);
    }

    /// Moves the clock back by `by`, like a correction.
    pub fn rewind(&self, by: Duration) {
        let microseconds = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_sub(microseconds, Ordering::SeqCst);
    }

    /// Moves the clock forward by `by`.
    pub fn advance(&self, by: Duration) {
        let microseconds = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(microseconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }
}

/// Ids 1, 2, 3, …: the same in every run of a test.
#[derive(Debug, Default)]
pub struct SequentialIds(AtomicU64);

impl IdSource for SequentialIds {
    fn next(&self, _now: Timestamp) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::SeqCst)) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_shows_whole_microseconds() {
        assert_eq!(SystemClock.now().as_nanosecond() % 1000, 0);
    }

    #[test]
    fn system_ids_sort_by_their_time() {
        let early = SystemIds.next(Timestamp::from_second(1_000).unwrap());
        let late = SystemIds.next(Timestamp::from_second(2_000).unwrap());
        assert!(early < late);
        assert_eq!(early.get_version_num(), 7);
    }
}

//! What is counted of the cache, for each view.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::{Counter, Gauge};
use moka::notification::RemovalCause;
use serde::Serialize;

use super::metric;

/// What is counted for one view, as numbers to show and as metrics.
#[derive(Debug)]
pub(super) struct Counts {
    hits: Counted,
    misses: Counted,
    loads: AtomicU64,
    loading: AtomicU64,
    entries: Measured,
    bytes: Measured,
    evicted_by_size: Counted,
    evicted_by_age: Counted,
}

/// It only grows.
#[derive(Debug)]
struct Counted {
    number: AtomicU64,
    metric: Counter,
}

/// It grows and shrinks.
#[derive(Debug)]
struct Measured {
    number: AtomicU64,
    metric: Gauge,
}

/// What is counted of a cache, or of what it has of one view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Reads that were answered from the cache, since the start.
    pub hits: u64,
    /// Reads that were not.
    pub misses: u64,
    /// Reads of the store: fewer than misses, because who asks for the same at the same time is answered together.
    pub loads: u64,
    /// Of these, under way.
    pub loading: u64,
    /// Answers that are kept.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Answers that went before they were out of date.
    pub evictions: Evictions,
}

/// Answers that went before they were out of date, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evictions {
    /// There was no room.
    pub size: u64,
    /// They had been there for long enough.
    pub expired: u64,
}

impl Counts {
    pub(super) fn of(view: &'static str) -> Self {
        let evicted = |cause| Counted::new(metric::evictions(view, cause));
        Self {
            hits: Counted::new(metric::hits(view)),
            misses: Counted::new(metric::misses(view)),
            loads: AtomicU64::new(0),
            loading: AtomicU64::new(0),
            entries: Measured::new(metric::entries(view)),
            bytes: Measured::new(metric::bytes(view)),
            evicted_by_size: evicted("size"),
            evicted_by_age: evicted("expired"),
        }
    }

    pub(super) fn hit(&self) {
        self.hits.one();
    }

    pub(super) fn missed(&self) {
        self.misses.one();
    }

    /// A read of the store; it is under way until what is returned goes.
    pub(super) fn loading(&self) -> Loading<'_> {
        self.loads.fetch_add(1, Relaxed);
        self.loading.fetch_add(1, Relaxed);
        Loading(self)
    }

    pub(super) fn added(&self, bytes: u64) {
        self.entries.add(1);
        self.bytes.add(bytes);
    }

    pub(super) fn removed(&self, bytes: u64, cause: RemovalCause) {
        self.entries.subtract(1);
        self.bytes.subtract(bytes);
        match cause {
            RemovalCause::Size => self.evicted_by_size.one(),
            RemovalCause::Expired => self.evicted_by_age.one(),
            RemovalCause::Explicit | RemovalCause::Replaced => {}
        }
    }

    /// Everything went at once, and nobody was told.
    pub(super) fn emptied(&self) {
        self.entries.clear();
        self.bytes.clear();
    }

    /// Never less than there are.
    pub(super) fn entries(&self) -> u64 {
        self.entries.number.load(Relaxed)
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            hits: self.hits.number.load(Relaxed),
            misses: self.misses.number.load(Relaxed),
            loads: self.loads.load(Relaxed),
            loading: self.loading.load(Relaxed),
            entries: self.entries(),
            bytes: self.bytes.number.load(Relaxed),
            evictions: Evictions {
                size: self.evicted_by_size.number.load(Relaxed),
                expired: self.evicted_by_age.number.load(Relaxed),
            },
        }
    }
}

/// A read of the store that is under way.
pub(super) struct Loading<'a>(&'a Counts);

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.0.loading.fetch_sub(1, Relaxed);
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        let Self { hits, misses, loads, loading, entries, bytes, evictions } = other;
        self.hits += hits;
        self.misses += misses;
        self.loads += loads;
        self.loading += loading;
        self.entries += entries;
        self.bytes += bytes;
        self.evictions.size += evictions.size;
        self.evictions.expired += evictions.expired;
    }
}

impl Counted {
    fn new(metric: Counter) -> Self {
        // From the start, so that a rate shows the first one, too.
        metric.increment(0);
        Self { number: AtomicU64::new(0), metric }
    }

    fn one(&self) {
        self.number.fetch_add(1, Relaxed);
        self.metric.increment(1);
    }
}

impl Measured {
    fn new(metric: Gauge) -> Self {
        metric.set(0.0);
        Self { number: AtomicU64::new(0), metric }
    }

    fn add(&self, number: u64) {
        self.number.fetch_add(number, Relaxed);
        self.metric.increment(number as f64);
    }

    fn subtract(&self, number: u64) {
        self.number.fetch_sub(number, Relaxed);
        self.metric.decrement(number as f64);
    }

    fn clear(&self) {
        self.number.store(0, Relaxed);
        self.metric.set(0.0);
    }
}

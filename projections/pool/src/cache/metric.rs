//! The counts of the cache for each view: as numbers for operators, and as metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use moka::notification::RemovalCause;
use serde::Serialize;

/// Reads that the cache answered; `view`.
const HITS: &str = "cache_hits_total";
/// Reads that the cache could not answer; `view`.
const MISSES: &str = "cache_misses_total";
/// Entries in the cache; `view`.
const ENTRIES: &str = "cache_entries";
/// The bytes of the entries; `view`.
const BYTES: &str = "cache_bytes";
/// Entries that were removed before they were out of date; `view`, `cause`: size, expired.
const EVICTIONS: &str = "cache_evictions_total";

pub(super) fn describe() {
    describe_counter!(HITS, "Reads of views that were answered from the cache");
    describe_counter!(MISSES, "Reads of views that were not answered from the cache");
    describe_gauge!(ENTRIES, "Documents and lists in the cache");
    describe_gauge!(BYTES, Unit::Bytes, "Bytes of the documents and lists in the cache");
    describe_counter!(EVICTIONS, "Documents and lists that left the cache before they were out of date, by cause");
}

/// The usage of a cache, or of its part for one view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Reads that the cache answered, since the start.
    pub hits: u64,
    /// Reads that the cache could not answer, since the start.
    pub misses: u64,
    /// Reads of the store, since the start. Fewer than misses, because readers of the same document or list share a
    /// load.
    pub loads: u64,
    /// Reads of the store that are in flight.
    pub loading: u64,
    /// Documents and lists in the cache.
    pub entries: u64,
    /// The bytes of the entries.
    pub bytes: u64,
    /// Entries that were removed before they were out of date.
    pub evictions: Evictions,
}

/// Entries that were removed before they were out of date, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evictions {
    /// Removed because the cache was full.
    pub size: u64,
    /// Removed because their time to live was over.
    pub expired: u64,
}

/// The counters of one view.
#[derive(Debug)]
pub(super) struct Counts {
    hits: Total,
    misses: Total,
    loads: AtomicU64,
    loading: AtomicU64,
    entries: Level,
    bytes: Level,
    evicted_by_size: Total,
    evicted_by_age: Total,
}

/// A number that only grows.
#[derive(Debug)]
struct Total {
    number: AtomicU64,
    metric: Counter,
}

/// A number that grows and shrinks.
#[derive(Debug)]
struct Level {
    number: AtomicU64,
    metric: Gauge,
}

impl Counts {
    pub(super) fn of(view: &'static str) -> Self {
        let evicted = |cause: &'static str| Total::new(counter!(EVICTIONS, "view" => view, "cause" => cause));
        Self {
            hits: Total::new(counter!(HITS, "view" => view)),
            misses: Total::new(counter!(MISSES, "view" => view)),
            loads: AtomicU64::new(0),
            loading: AtomicU64::new(0),
            entries: Level::new(gauge!(ENTRIES, "view" => view)),
            bytes: Level::new(gauge!(BYTES, "view" => view)),
            evicted_by_size: evicted("size"),
            evicted_by_age: evicted("expired"),
        }
    }

    pub(super) fn hit(&self) {
        self.hits.increment();
    }

    pub(super) fn missed(&self) {
        self.misses.increment();
    }

    /// Counts a read of the store. It is in flight until the returned guard is dropped.
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
            RemovalCause::Size => self.evicted_by_size.increment(),
            RemovalCause::Expired => self.evicted_by_age.increment(),
            RemovalCause::Explicit | RemovalCause::Replaced => {}
        }
    }

    /// All entries were removed at once, without a call of [`removed`](Self::removed).
    pub(super) fn emptied(&self) {
        self.entries.clear();
        self.bytes.clear();
    }

    /// The number of entries, or more while one is being inserted or removed.
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

/// Counts a read of the store as in flight.
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

impl Total {
    fn new(metric: Counter) -> Self {
        // The metric exists from the start, so that a rate counts the first event.
        metric.increment(0);
        Self { number: AtomicU64::new(0), metric }
    }

    fn increment(&self) {
        self.number.fetch_add(1, Relaxed);
        self.metric.increment(1);
    }
}

impl Level {
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

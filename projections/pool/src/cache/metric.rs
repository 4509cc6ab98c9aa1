//! The metrics of the cache: names, labels, help.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

/// Reads that were answered from the cache; `view`.
const HITS: &str = "cache_hits_total";
/// Reads that were not; `view`.
const MISSES: &str = "cache_misses_total";
/// Answers that are kept; `view`.
const ENTRIES: &str = "cache_entries";
/// Their bytes; `view`.
const BYTES: &str = "cache_bytes";
/// Answers that went before they were out of date; `view`, `cause`: size, expired.
const EVICTIONS: &str = "cache_evictions_total";

pub(super) fn describe() {
    describe_counter!(HITS, "Reads of views that were answered from the cache");
    describe_counter!(MISSES, "Reads of views that were not answered from the cache");
    describe_gauge!(ENTRIES, "Answers in the cache");
    describe_gauge!(BYTES, Unit::Bytes, "Bytes of the answers in the cache");
    describe_counter!(EVICTIONS, "Answers that left the cache before they were out of date, by cause");
}

pub(super) fn hits(view: &'static str) -> Counter {
    counter!(HITS, "view" => view)
}

pub(super) fn misses(view: &'static str) -> Counter {
    counter!(MISSES, "view" => view)
}

pub(super) fn entries(view: &'static str) -> Gauge {
    gauge!(ENTRIES, "view" => view)
}

pub(super) fn bytes(view: &'static str) -> Gauge {
    gauge!(BYTES, "view" => view)
}

pub(super) fn evictions(view: &'static str, cause: &'static str) -> Counter {
    counter!(EVICTIONS, "view" => view, "cause" => cause)
}

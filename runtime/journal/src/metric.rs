//! The metrics of the journal: names, labels, help, buckets.

use metrics::{
    Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// From submission to answer, seconds.
pub(crate) const APPEND_DURATION: &str = "event_store_append_duration";
/// Reading the events of one aggregate, seconds.
pub(crate) const LOAD_DURATION: &str = "event_store_load_duration";
/// Errors of the store, by `operation`.
pub(crate) const ERRORS: &str = "event_store_errors_total";
/// The operations that errors are counted by.
const OPERATIONS: [&str; 7] = ["acquire", "check", "commit", "index", "load", "snapshot", "snapshot-dropped"];
/// Events in one commit.
pub(crate) const BATCH_EVENTS: &str = "dormouse_commit_batch_events";
/// One commit, seconds.
pub(crate) const COMMIT_DURATION: &str = "dormouse_commit_duration_seconds";
/// Database connections in use.
pub(crate) const CONNECTIONS_ACTIVE: &str = "db_connections_active";
/// Database connections allowed.
pub(crate) const CONNECTIONS_MAX: &str = "db_connections_max";
/// The position of the last committed event.
pub(crate) const HEAD: &str = "dormouse_journal_head";

/// Buckets of batch sizes, for the exporter.
pub const BATCH_BUCKETS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

pub(crate) fn describe() {
    dormouse_storage::describe_metrics();
    describe_histogram!(APPEND_DURATION, Unit::Seconds, "From submitting a command's events to their durable commit");
    describe_histogram!(LOAD_DURATION, Unit::Seconds, "Reading the events of one aggregate");
    describe_counter!(ERRORS, "Errors of the event store, by operation");
    describe_histogram!(BATCH_EVENTS, Unit::Count, "Events in one commit");
    describe_histogram!(COMMIT_DURATION, Unit::Seconds, "One durable commit");
    describe_gauge!(CONNECTIONS_ACTIVE, "Database connections in use");
    describe_gauge!(CONNECTIONS_MAX, "Database connections allowed");
    describe_gauge!(HEAD, "The position of the last committed event");
    // Registered at the start, so that a rate shows the first error too.
    for operation in OPERATIONS {
        counter!(ERRORS, "operation" => operation).increment(0);
    }
}

/// The metrics of a commit, looked up once.
#[derive(Debug)]
pub(crate) struct CommitMetrics {
    pub(crate) append_duration: Histogram,
    pub(crate) batch_events: Histogram,
    pub(crate) duration: Histogram,
    pub(crate) head: Gauge,
}

impl CommitMetrics {
    pub(crate) fn new() -> Self {
        Self {
            append_duration: histogram!(APPEND_DURATION),
            batch_events: histogram!(BATCH_EVENTS),
            duration: histogram!(COMMIT_DURATION),
            head: gauge!(HEAD),
        }
    }
}

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
/// Events that a replica did not have when it was last looked at; `of`: journal, views; `replica`: its URL.
pub(crate) const REPLICA_LAG: &str = "db_replica_lag_events";
/// 1 if a replica is read, 0 if the primary is in its place; `of`, `replica`.
pub(crate) const REPLICA_FIT: &str = "db_replica_fit";
/// Bytes of the write-ahead log of an SQLite file; `file`: journal, index, snapshots, views.
pub(crate) const WAL_BYTES: &str = "dormouse_sqlite_wal_bytes";
/// For how long a reader has kept one from being copied back that is too large, seconds; `file`.
pub(crate) const WAL_HELD_UP: &str = "dormouse_sqlite_wal_held_up_seconds";
/// The position of the last committed event.
pub(crate) const HEAD: &str = "dormouse_journal_head";

/// Buckets of batch sizes, for the exporter.
pub const BATCH_BUCKETS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

pub(crate) fn describe() {
    describe_histogram!(APPEND_DURATION, Unit::Seconds, "From submitting a command's events to their durable commit");
    describe_histogram!(LOAD_DURATION, Unit::Seconds, "Reading the events of one aggregate");
    describe_counter!(ERRORS, "Errors of the event store, by operation");
    describe_histogram!(BATCH_EVENTS, Unit::Count, "Events in one commit");
    describe_histogram!(COMMIT_DURATION, Unit::Seconds, "One durable commit");
    describe_gauge!(CONNECTIONS_ACTIVE, "Database connections in use");
    describe_gauge!(CONNECTIONS_MAX, "Database connections allowed");
    describe_gauge!(REPLICA_LAG, Unit::Count, "Events that a replica did not have when it was last looked at");
    describe_gauge!(REPLICA_FIT, "1 if a replica is read, 0 if the primary is in its place");
    describe_gauge!(WAL_BYTES, Unit::Bytes, "Size of the write-ahead log of an SQLite file");
    describe_gauge!(WAL_HELD_UP, Unit::Seconds, "How long a write-ahead log that is too large has not begun anew");
    describe_gauge!(HEAD, "The position of the last committed event");
    // From the start, so that a rate shows the first error too.
    for operation in OPERATIONS {
        counter!(ERRORS, "operation" => operation).increment(0);
    }
}

/// What every commit records, looked up once.
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

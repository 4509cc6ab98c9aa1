//! The metrics of databases: names, labels, help.

use metrics::{Unit, describe_gauge};

/// Events that a replica did not have when it was last probed; `of`: journal, views; `replica`: its URL.
pub(crate) const REPLICA_LAG: &str = "db_replica_lag_events";
/// 1 if a replica is read, 0 if the primary is read in its place; `of`, `replica`.
pub(crate) const REPLICA_FIT: &str = "db_replica_fit";
/// Bytes of the write-ahead log of an SQLite file; `file`: journal, index, snapshots, queue, views.
pub(crate) const WAL_BYTES: &str = "dormouse_sqlite_wal_bytes";
/// For how long a reader has kept a write-ahead log that is too large from being reset, seconds; `file`.
pub(crate) const WAL_HELD_UP: &str = "dormouse_sqlite_wal_held_up_seconds";

/// Describes the metrics to the recorder that is installed.
pub fn describe() {
    describe_gauge!(REPLICA_LAG, Unit::Count, "Events that a replica did not have when it was last probed");
    describe_gauge!(REPLICA_FIT, "1 if a replica is read, 0 if the primary is in its place");
    describe_gauge!(WAL_BYTES, Unit::Bytes, "Size of the write-ahead log of an SQLite file");
    describe_gauge!(WAL_HELD_UP, Unit::Seconds, "How long a write-ahead log that is too large has not been reset");
}

//! The metrics of the log: names, labels and help.

use metrics::{Unit, describe_counter, describe_gauge};

/// Counter, label `action`: entries that are durable.
pub(crate) const ENTRIES: &str = "dormouse_audit_entries_total";

/// Counter, label `action`: noted entries that were counted only, because there were too many.
pub(crate) const SUPPRESSED: &str = "dormouse_audit_suppressed_total";

/// Counter: entries that could not be written. Each is an action of an operator that was refused, or an outcome or a
/// noted entry that is missing.
pub(crate) const FAILURES: &str = "dormouse_audit_failures_total";

/// Gauge in bytes: the size of the log.
pub(crate) const BYTES: &str = "dormouse_audit_bytes";

/// Registers the help texts with the recorder.
pub(crate) fn describe() {
    describe_counter!(ENTRIES, "Entries of the audit log that are durable, by action");
    describe_counter!(SUPPRESSED, "Entries of the audit log that were counted only, by action");
    describe_counter!(FAILURES, "Entries of the audit log that could not be written");
    describe_gauge!(BYTES, Unit::Bytes, "The size of the audit log");
}

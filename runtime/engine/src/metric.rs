//! The metrics of the engine: names, labels, help, buckets.

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram};

use crate::passivation::Reason;
pub use dormouse_journal::BATCH_BUCKETS;

/// From receiving a command to its answer, seconds; `command_type`, `success`.
pub(crate) const COMMAND_DURATION: &str = "cqrs_command_duration";
/// Commands; `command_type`, `status`.
pub(crate) const COMMAND_TOTAL: &str = "cqrs_command_total";
/// Commands that took longer than `commands.slow_after`; `command_type`.
pub(crate) const SLOW: &str = "dormouse_commands_slow_total";
/// Live aggregates; `aggregate_type`.
pub(crate) const LIVE: &str = "dormouse_aggregates_live";
/// Of these, those that are being loaded; `aggregate_type`.
pub(crate) const WAKING: &str = "dormouse_aggregates_waking";
/// Dormant aggregates.
pub(crate) const DORMANT: &str = "dormouse_aggregates_dormant";
/// Bytes of dormant aggregates.
pub(crate) const DORMANT_BYTES: &str = "dormouse_dormant_bytes";
/// Quarantined aggregates; `aggregate_type`.
pub(crate) const QUARANTINED: &str = "dormouse_aggregates_quarantined";
/// Wake-ups; `source`: dormant, snapshot, events, new.
pub(crate) const WAKEUPS: &str = "dormouse_wakeups_total";
/// One wake-up, seconds; `source`.
pub(crate) const WAKEUP_DURATION: &str = "dormouse_wakeup_duration_seconds";
/// Passivations; `reason`: idle, limit, drain, empty.
pub(crate) const PASSIVATIONS: &str = "dormouse_passivations_total";
/// Requests in mailboxes or waiting for commits: permits in use on the node.
pub(crate) const PERMITS: &str = "dormouse_permits_in_use";
/// The permits of the node.
pub(crate) const PERMITS_MAX: &str = "dormouse_permits_max";
/// Requests refused; `scope`: aggregate, node.
pub(crate) const SHED: &str = "dormouse_shed_total";
/// Commands whose sender hung up before the decision.
pub(crate) const ABANDONED: &str = "dormouse_commands_abandoned_total";
/// Aggregates that failed.
pub(crate) const FAILURES: &str = "dormouse_aggregate_failures_total";
/// Aggregates woken whose last event is ahead of the clock.
pub(crate) const AHEAD_OF_CLOCK: &str = "dormouse_aggregates_ahead_of_clock_total";
/// Snapshots that differ from the fold of their events; `aggregate_type`.
pub(crate) const SNAPSHOTS_DIFFERING: &str = "dormouse_snapshots_differing_total";
/// From sending a command to taking it out of the mailbox, seconds.
pub(crate) const MAILBOX_WAIT: &str = "dormouse_mailbox_wait_seconds";

/// Buckets of durations in seconds, for the exporter: 100 µs to 10 s.
pub const DURATION_BUCKETS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

pub(crate) fn describe() {
    describe_histogram!(COMMAND_DURATION, Unit::Seconds, "From receiving a command to its answer");
    describe_counter!(COMMAND_TOTAL, "Commands by type and status");
    describe_counter!(SLOW, "Commands that took longer than commands.slow_after");
    describe_gauge!(LIVE, "Aggregates with an actor in memory");
    describe_gauge!(WAKING, "Aggregates that are being loaded right now");
    describe_gauge!(DORMANT, "Aggregates kept as bytes in memory");
    describe_gauge!(DORMANT_BYTES, Unit::Bytes, "Memory that dormant aggregates take");
    describe_gauge!(QUARANTINED, "Aggregates that need an operator");
    describe_counter!(WAKEUPS, "Aggregates woken, by where their state came from");
    describe_histogram!(WAKEUP_DURATION, Unit::Seconds, "Loading the state of an aggregate, by where it came from");
    describe_counter!(PASSIVATIONS, "Aggregates put to sleep, by reason");
    describe_gauge!(PERMITS, "Requests in mailboxes or waiting for a commit");
    describe_gauge!(PERMITS_MAX, "Most requests that may be in mailboxes or waiting for a commit");
    describe_counter!(SHED, "Requests refused for lack of a permit, by scope");
    describe_counter!(ABANDONED, "Commands whose sender hung up before the decision");
    describe_counter!(AHEAD_OF_CLOCK, "Aggregates woken whose last event is ahead of the clock");
    describe_counter!(SNAPSHOTS_DIFFERING, "Snapshots that differ from the fold of their events");
    describe_counter!(FAILURES, "Aggregates whose actor failed");
    describe_histogram!(MAILBOX_WAIT, Unit::Seconds, "Time a command spends in its aggregate's mailbox");
    // Zero from the start, so that a rate shows the first of each too.
    for reason in Reason::ALL {
        counter!(PASSIVATIONS, "reason" => reason.label()).increment(0);
    }
    for scope in ["aggregate", "node"] {
        counter!(SHED, "scope" => scope).increment(0);
    }
    counter!(ABANDONED).increment(0);
    counter!(AHEAD_OF_CLOCK).increment(0);
    counter!(FAILURES).increment(0);
}

/// The metrics of the commands of one name, looked up once.
#[derive(Debug)]
pub(crate) struct CommandMetrics {
    pub(crate) name: &'static str,
    succeeded: Histogram,
    failed: Histogram,
    ok: Counter,
    slow: Counter,
}

impl CommandMetrics {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            succeeded: histogram!(COMMAND_DURATION, "command_type" => name, "success" => "true"),
            failed: histogram!(COMMAND_DURATION, "command_type" => name, "success" => "false"),
            ok: counter!(COMMAND_TOTAL, "command_type" => name, "status" => "ok"),
            slow: counter!(SLOW, "command_type" => name),
        }
    }

    /// Counts a command that ended with `status`. A command that was carried out has the status `ok`.
    pub(crate) fn record(&self, status: &'static str, took: std::time::Duration, slow_after: std::time::Duration) {
        if status == "ok" {
            self.succeeded.record(took);
            self.ok.increment(1);
        } else {
            self.failed.record(took);
            counter!(COMMAND_TOTAL, "command_type" => self.name, "status" => status).increment(1);
        }
        if took >= slow_after {
            self.slow.increment(1);
            tracing::warn!(command = self.name, ?took, status, "slow command");
        }
    }
}

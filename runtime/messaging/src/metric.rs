//! Metrics of messaging: names, labels, help.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::consumer_name::ConsumerName;

/// Jobs that ended, by consumer and result.
const EXECUTED: &str = "listeners_executed_total";
/// Attempts that failed, by consumer.
const FAILED: &str = "listeners_failed_total";
/// Events that were handed to a consumer, by consumer.
const DISPATCHED: &str = "events_dispatched_total";
/// The time from an event's record to the first attempt of its job.
const DISPATCH_DURATION: &str = "event_dispatch_duration_seconds";
/// Dead letters made.
const DEAD_LETTERS: &str = "dormouse_dead_letters_total";
/// Messages that their target refused.
const REFUSED: &str = "dormouse_messages_refused_total";
/// Circuit breakers that opened.
const BREAKER: &str = "dormouse_circuit_breaker_opened_total";
/// What waits in a queue: jobs in memory, and events that its listeners have not read.
pub(crate) const QUEUE_DEPTH: &str = "queue_depth";
/// Workers of a queue.
pub(crate) const QUEUE_WORKERS: &str = "dormouse_queue_workers";
/// Jobs by consumer and state: those in memory, which are ready or run, and those in the store.
const JOBS: &str = "dormouse_jobs";
/// Events between the position of a consumer and the head of the log.
const LAG: &str = "dormouse_consumer_lag_events";
/// Timers that are set.
pub(crate) const TIMERS: &str = "dormouse_timers";
/// How late timers fired.
const LATENESS: &str = "dormouse_timer_lateness_seconds";

pub(crate) fn describe() {
    describe_counter!(EXECUTED, "Attempts of jobs that ended, by listener and result (ok, failed)");
    describe_counter!(FAILED, "Attempts of jobs that failed, by listener");
    describe_counter!(DISPATCHED, "Events that were handed to a listener");
    describe_histogram!(
        DISPATCH_DURATION,
        "Seconds from the record of an event to the first attempt of its job, by listener"
    );
    describe_counter!(DEAD_LETTERS, "Jobs that failed too often, by listener");
    describe_counter!(REFUSED, "Messages that their target refused, by type of the target");
    describe_counter!(BREAKER, "Circuit breakers that opened, by listener");
    describe_gauge!(
        QUEUE_DEPTH,
        "Jobs in memory that wait for a worker or for an earlier job, and events that listeners have not read, by queue"
    );
    describe_gauge!(QUEUE_WORKERS, "Workers of a queue");
    describe_gauge!(JOBS, "Jobs by listener and state (in memory: ready, running; stored: waiting, blocked, dead)");
    describe_gauge!(LAG, "Events that a listener has not read yet");
    describe_gauge!(TIMERS, "Timers that are set");
    describe_histogram!(LATENESS, "Seconds from the time at which a timer was due to its command");
}

/// The metrics of one consumer that its jobs record.
#[derive(Debug)]
pub(crate) struct ConsumerMetrics {
    pub(crate) succeeded: Counter,
    executed_failed: Counter,
    failed: Counter,
    pub(crate) dispatched: Counter,
    pub(crate) dispatch_duration: Histogram,
    pub(crate) dead_letters: Counter,
    pub(crate) breaker_opened: Counter,
}

impl ConsumerMetrics {
    pub(crate) fn new(consumer: &ConsumerName) -> Self {
        let listener = consumer.to_string();
        Self {
            succeeded: counter!(EXECUTED, "listener" => listener.clone(), "result" => "ok"),
            executed_failed: counter!(EXECUTED, "listener" => listener.clone(), "result" => "failed"),
            failed: counter!(FAILED, "listener" => listener.clone()),
            dispatched: counter!(DISPATCHED, "listener" => listener.clone()),
            dispatch_duration: histogram!(DISPATCH_DURATION, "listener" => listener.clone()),
            dead_letters: counter!(DEAD_LETTERS, "listener" => listener.clone()),
            breaker_opened: counter!(BREAKER, "listener" => listener),
        }
    }

    /// An attempt failed.
    pub(crate) fn failed(&self) {
        self.executed_failed.increment(1);
        self.failed.increment(1);
    }
}

/// Sets the gauges of a consumer: its lag, and its jobs that are ready, running, waiting, blocked and dead.
pub(crate) fn sampled(consumer: &ConsumerName, lag: u64, jobs: [u64; 5]) {
    let listener = consumer.to_string();
    gauge!(LAG, "listener" => listener.clone()).set(lag as f64);
    for (state, count) in ["ready", "running", "waiting", "blocked", "dead"].into_iter().zip(jobs) {
        gauge!(JOBS, "listener" => listener.clone(), "state" => state).set(count as f64);
    }
}

/// Sets the gauges of a consumer that was stopped to zero: they cannot be removed.
pub(crate) fn ended(consumer: &ConsumerName) {
    sampled(consumer, 0, [0; 5]);
}

pub(crate) fn refused(aggregate_type: &str) {
    counter!(REFUSED, "aggregate_type" => aggregate_type.to_owned()).increment(1);
}

pub(crate) fn fired(lateness: Duration) {
    histogram!(LATENESS).record(lateness);
}

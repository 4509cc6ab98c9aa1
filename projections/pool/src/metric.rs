//! The metrics of the read side: names, labels, help, buckets.

use std::time::Duration;

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::progress::{Progress, State};

/// The age of the oldest event that is not in the view yet, in seconds; zero if there is none; `projection`.
pub(crate) const LAG_SECONDS: &str = "event_processing_lag_seconds";
/// Events that are not in the view yet; `projection`.
pub(crate) const LAG_EVENTS: &str = "projection_lag_events";
/// Events in one batch; `projection`, `build`: served, next.
pub(crate) const BATCH_EVENTS: &str = "projection_batch_events";
/// The duration of one batch, in seconds; `projection`, `build`.
pub(crate) const BATCH_DURATION: &str = "projection_batch_seconds";
/// Events that a worker has passed, whether they concern the projection or not; `projection`, `build`.
pub(crate) const EVENTS: &str = "projection_events_total";
/// Aggregates with parked events; `projection`.
pub(crate) const PARKED: &str = "projection_parked_aggregates";
/// 1 if the projection was stopped and needs an operator; `projection`.
pub(crate) const STOPPED: &str = "projection_stopped";
/// Events that a rebuild still has to project, zero without a rebuild; `projection`.
pub(crate) const REBUILD_LAG_EVENTS: &str = "projection_rebuild_lag_events";
/// The rate of a rebuild, in events per second, zero without a rebuild; `projection`.
pub(crate) const REBUILD_RATE: &str = "projection_rebuild_events_per_second";

/// Buckets for the sizes of batches, up to the largest size by default.
pub const BATCH_BUCKETS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 2048.0, 4096.0, 8192.0];

pub(crate) fn describe() {
    describe_gauge!(LAG_SECONDS, Unit::Seconds, "Age of the oldest event that is not in the view yet");
    describe_gauge!(LAG_EVENTS, Unit::Count, "Events that are not in the view yet");
    describe_histogram!(BATCH_EVENTS, Unit::Count, "Events in one batch of a projection");
    describe_histogram!(BATCH_DURATION, Unit::Seconds, "One batch of a projection, from its events to its commit");
    describe_counter!(EVENTS, "Events that a projection has processed or skipped");
    describe_gauge!(PARKED, "Aggregates whose events are parked");
    describe_gauge!(STOPPED, "1 if the projection was stopped because it failed too often");
    describe_gauge!(REBUILD_LAG_EVENTS, Unit::Count, "Events that a rebuild still has to process");
    describe_gauge!(REBUILD_RATE, "Events per second of a rebuild");
}

/// The metrics of each batch. The recorders are looked up once.
#[derive(Debug)]
pub(crate) struct BatchMetrics {
    served: Recorders,
    next: Recorders,
}

#[derive(Debug)]
struct Recorders {
    batch_events: Histogram,
    duration: Histogram,
    events: Counter,
}

impl BatchMetrics {
    pub(crate) fn of(projection: &'static str) -> Self {
        let recorders = |build: &'static str| Recorders {
            batch_events: histogram!(BATCH_EVENTS, "projection" => projection, "build" => build),
            duration: histogram!(BATCH_DURATION, "projection" => projection, "build" => build),
            events: counter!(EVENTS, "projection" => projection, "build" => build),
        };
        Self { served: recorders("served"), next: recorders("next") }
    }

    pub(crate) fn record(&self, is_served: bool, events: usize, took: Duration) {
        let Recorders { batch_events, duration, events: total } = if is_served { &self.served } else { &self.next };
        batch_events.record(events as f64);
        duration.record(took);
        total.increment(events as u64);
    }
}

/// Sets the metrics that are sampled. `head` is the last position of the journal.
pub(crate) fn sample(progress: &Progress, head: u64, lag: Duration) {
    let Progress { name: projection, position, parked, state, rebuild, .. } = progress;
    let (behind, rate) = rebuild
        .as_ref()
        .map_or((0, 0.0), |rebuild| (head.saturating_sub(rebuild.position.0), rebuild.events_per_second));
    gauge!(LAG_EVENTS, "projection" => *projection).set(head.saturating_sub(position.0) as f64);
    gauge!(LAG_SECONDS, "projection" => *projection).set(lag);
    gauge!(PARKED, "projection" => *projection).set(*parked as f64);
    gauge!(STOPPED, "projection" => *projection).set(f64::from(u8::from(matches!(state, State::Stopped(_)))));
    gauge!(REBUILD_LAG_EVENTS, "projection" => *projection).set(behind as f64);
    gauge!(REBUILD_RATE, "projection" => *projection).set(rate);
}

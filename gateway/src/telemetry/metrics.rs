//! The recorder of metrics: one for the process, however many applications run in it.

use std::sync::OnceLock;
use std::time::Duration;

use dormouse_engine::{BATCH_BUCKETS, DURATION_BUCKETS};
use dormouse_projections::BATCH_BUCKETS as PROJECTION_BATCH_BUCKETS;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::MissedTickBehavior;
use tracing::warn;

use crate::metric::{self, RESULT_BUCKETS};

/// How often the recorder sorts new values into their buckets. Until then, or until the metrics are read, each value
/// takes memory of its own.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(5);

/// The buckets of metrics, by the end of their names. A metric that is not listed becomes a summary.
const BUCKETS: [(&str, &[f64]); 4] = [
    ("_duration", DURATION_BUCKETS),
    ("_seconds", DURATION_BUCKETS),
    ("_batch_events", BATCH_BUCKETS),
    ("_result_count", RESULT_BUCKETS),
];

/// Returns the handle that reads the metrics of this process. The first call installs the recorder.
pub(crate) fn recorder() -> PrometheusHandle {
    static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = INSTALLED.get_or_init(|| {
        let recorder = builder().expect("the buckets are not empty").build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            warn!("this process has another recorder of metrics, /metrics stays empty");
        }
        metric::describe();
        handle
    });
    handle.clone()
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let suffix = |suffix: &str| Matcher::Suffix(suffix.to_owned());
    let mut buckets = BUCKETS.iter();
    let builder = buckets.try_fold(PrometheusBuilder::new(), |builder, (name, buckets)| {
        builder.set_buckets_for_metric(suffix(name), buckets)
    })?;
    // Batches of projections are larger than those of the journal.
    builder.set_buckets_for_metric(Matcher::Full("projection_batch_events".to_owned()), PROJECTION_BATCH_BUCKETS)
}

/// Keeps the recorder's memory small. Does not return.
pub(crate) async fn maintain(metrics: PrometheusHandle) {
    let mut interval = tokio::time::interval(MAINTENANCE_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        metrics.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_batches_have_buckets() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            for name in ["cqrs_command_duration", "dormouse_commit_duration_seconds", "dormouse_commit_batch_events"] {
                metrics::histogram!(name).record(3.0);
            }
        });
        let text = handle.render();
        assert!(text.contains(r#"cqrs_command_duration_bucket{le="5"} 1"#), "{text}");
        assert!(text.contains(r#"dormouse_commit_duration_seconds_bucket{le="0.0001"} 0"#), "{text}");
        assert!(text.contains(r#"dormouse_commit_batch_events_bucket{le="4"} 1"#), "{text}");
    }

    #[test]
    fn the_recorder_is_installed_once() {
        recorder();
        metrics::counter!("installed_once_total").increment(1);
        assert!(recorder().render().contains("installed_once_total 1"));
    }
}

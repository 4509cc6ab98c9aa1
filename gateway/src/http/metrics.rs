//! `GET /metrics`: metrics in the format of Prometheus.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use metrics::{describe_gauge, gauge};
use tokio::time::timeout;

use super::Api;

/// Gauge: open streams of events.
const STREAMS: &str = "dormouse_streams_open";
/// Gauge: the limit of open streams.
const STREAMS_MAX: &str = "dormouse_streams_max";

/// How long the stores may take to report their values: a scrape must not fail because of them.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn describe() {
    describe_gauge!(STREAMS, "Open streams of events");
    describe_gauge!(STREAMS_MAX, "Limit of open streams of events (gateway.max_streams)");
}

pub(super) async fn metrics(State(api): State<Arc<Api>>) -> impl IntoResponse {
    api.engine.sample_metrics();
    let sample = async {
        let views = async {
            if let Some(projections) = &api.projections {
                projections.sample_metrics().await;
            }
        };
        tokio::join!(views, api.messaging.sample_metrics());
    };
    // A gauge whose value arrives too late keeps its last value.
    let _in_time = timeout(SAMPLE_TIMEOUT, sample).await.is_ok();
    gauge!(STREAMS).set(api.streams.open_now() as f64);
    gauge!(STREAMS_MAX).set(api.streams.max() as f64);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], api.metrics.render())
}

//! `GET /metrics`: what Prometheus scrapes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use metrics::{describe_gauge, gauge};
use tokio::time::timeout;

use super::Api;

/// Streams of events that are open.
const STREAMS: &str = "dormouse_streams_open";
/// How many may be.
const STREAMS_MAX: &str = "dormouse_streams_max";

/// What the journal does not say by then is not worth a scrape that fails.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn describe() {
    describe_gauge!(STREAMS, "Streams of events that are open");
    describe_gauge!(STREAMS_MAX, "Most streams of events that may be open");
}

pub(super) async fn metrics(State(api): State<Arc<Api>>) -> impl IntoResponse {
    api.engine.sample_metrics();
    if let Some(projections) = &api.projections {
        // Late ones keep their last values.
        let _in_time = timeout(SAMPLE_TIMEOUT, projections.sample_metrics()).await.is_ok();
    }
    gauge!(STREAMS).set(api.streams.open_now() as f64);
    gauge!(STREAMS_MAX).set(api.streams.max() as f64);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], api.metrics.render())
}

//! The gateway's metrics: names, labels and help.

use metrics::{Unit, describe_counter, describe_histogram};

/// Histogram in seconds, label `query_type`: the time to answer a query, without its wait for a position.
pub(crate) const QUERY_DURATION: &str = "cqrs_query_duration";

/// Histogram, label `query_type`: documents in a query's result.
pub(crate) const QUERY_RESULT_COUNT: &str = "cqrs_query_result_count";

/// Counter, label `query_type`: queries that took longer than `views.slow_after`.
pub(crate) const SLOW_QUERIES: &str = "cqrs_slow_queries_total";

/// Counter, label `outcome` (`ok`, `refused`, `failed`): lines of bulk requests.
pub(crate) const BULK_LINES: &str = "dormouse_bulk_lines_total";

/// Counter, label `reason` (the problem's name: `unauthenticated`, `forbidden`, `keys-unavailable`, …): requests whose
/// callers were not let in.
pub(crate) const CALLERS_REFUSED: &str = "dormouse_callers_refused_total";

/// Counter, label `class` (`commands`, `queries`, `admin`, `auth`): requests beyond the rate of their callers.
pub(crate) const REQUESTS_LIMITED: &str = "dormouse_requests_limited_total";

/// Counter, label `result` (`ok`, `failed`, `timeout`, `displaced`, `plain-http`): TLS handshakes.
pub(crate) const TLS_HANDSHAKES: &str = "dormouse_tls_handshakes_total";

/// Counter, label `result` (`ok`, `failed`): times that a changed certificate was read.
pub(crate) const TLS_RELOADS: &str = "dormouse_tls_reloads_total";

/// Buckets of [`QUERY_RESULT_COUNT`]: no document, one document, and pages up to the default of
/// `gateway.page_size_max`.
pub(crate) const RESULT_BUCKETS: &[f64] = &[0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// Registers the help texts with the recorder.
pub(crate) fn describe() {
    describe_histogram!(QUERY_DURATION, Unit::Seconds, "Time from reading a view to its result, by query");
    describe_histogram!(QUERY_RESULT_COUNT, Unit::Count, "Documents in a result, by query");
    describe_counter!(BULK_LINES, "Lines of bulk requests, by outcome");
    describe_counter!(CALLERS_REFUSED, "Requests whose callers were not let in, by reason");
    describe_counter!(REQUESTS_LIMITED, "Requests beyond the rate of their callers, by class");
    describe_counter!(TLS_HANDSHAKES, "TLS handshakes of clients, by result");
    describe_counter!(TLS_RELOADS, "Times that a changed certificate was read, by result");
    describe_counter!(SLOW_QUERIES, "Queries that took longer than views.slow_after");
}

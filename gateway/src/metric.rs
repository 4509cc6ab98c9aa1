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

/// Buckets of [`QUERY_RESULT_COUNT`]: no document, one document, and pages up to the default of
/// `gateway.page_size_max`.
pub(crate) const RESULT_BUCKETS: &[f64] = &[0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// Registers the help texts with the recorder.
pub(crate) fn describe() {
    describe_histogram!(QUERY_DURATION, Unit::Seconds, "Time from reading a view to its result, by query");
    describe_histogram!(QUERY_RESULT_COUNT, Unit::Count, "Documents in a result, by query");
    describe_counter!(BULK_LINES, "Lines of bulk requests, by outcome");
    describe_counter!(SLOW_QUERIES, "Queries that took longer than views.slow_after");
}

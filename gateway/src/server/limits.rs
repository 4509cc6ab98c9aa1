//! What one connection may take, whoever is at its other end.

use std::time::Duration;

/// Bytes of a request's head, and of whatever else is read ahead (about: they are counted between two reads). Browsers
/// and proxies send less with all their cookies; 10,000 connections together can make the server hold 640 MB.
pub(super) const HEAD_BYTES: usize = 64 << 10;

/// How long the end of a stream may take to reach its client when the server shuts down.
pub(super) const STREAM_END: Duration = Duration::from_secs(1);

/// Headers of a request. A browser behind a few proxies sends some thirty.
pub(super) const HEADERS: usize = 100;

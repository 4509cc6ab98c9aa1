//! What one connection may take, whoever is at its other end.

use std::time::Duration;

/// Bytes of a request's head, and of whatever else is read ahead (about: they are counted between two reads). Browsers
/// and proxies send less with all their cookies; 10,000 connections together can make the server hold 640 MB.
pub(super) const HEAD_BYTES: usize = 64 << 10;

/// How long the end of a stream may take to reach its client when the server shuts down.
pub(super) const STREAM_END: Duration = Duration::from_secs(1);

/// Headers of a request. A browser behind a few proxies sends some thirty.
pub(super) const HEADERS: usize = 100;

/// Bytes that are read and thrown away behind an answer to a client that is still sending. Ordinary clients send a whole
/// body before they read the answer; this covers any that is within sight of `gateway.max_body`.
pub(super) const LINGERING_BYTES: u64 = 64 << 20;

/// How long that may take.
pub(super) const LINGERING: Duration = Duration::from_secs(5);

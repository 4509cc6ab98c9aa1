//! Limits of one connection, for any client.

use std::time::Duration;

/// Bytes of a request's head, and of everything else that is read ahead. The limit is approximate, because the bytes
/// are counted between two reads. Browsers and proxies send less with all their cookies. 10,000 connections together
/// can make the server hold 640 MB.
pub(super) const HEAD_BYTES: usize = 64 << 10;

/// Bytes of the headers of a request over HTTP/2, as many as over HTTP/1.1.
pub(super) const HEAD_BYTES_OF_STREAM: u32 = 64 << 10;

/// Requests in progress on one HTTP/2 connection. RFC 9113, 6.5.2, recommends not fewer.
pub(super) const STREAMS: u32 = 100;

/// Bytes of bodies that a client may send before the server has read those before, over all requests of an HTTP/2
/// connection: the value that RFC 9113, 6.9.2, begins with. 10,000 connections together can make the server hold 640 MB.
pub(super) const RECEIVE_WINDOW: u32 = 65_535;

/// Bytes of a response that are handed to an HTTP/2 connection at a time: one frame of the size that every client
/// accepts (RFC 9113, 4.2).
pub(super) const FRAME_BYTES: usize = 16 << 10;

/// How long a client may take to receive the end of a stream when the server shuts down.
pub(super) const STREAM_END: Duration = Duration::from_secs(1);

/// Headers of a request. A browser behind a few proxies sends about thirty.
pub(super) const HEADERS: usize = 100;

/// Bytes that are read and thrown away after a response to a client that is still sending. Ordinary clients send the
/// whole body before they read the response. The limit covers bodies somewhat above `gateway.max_body`.
pub(super) const LINGERING_BYTES: u64 = 64 << 20;

/// How long the server reads and throws away.
pub(super) const LINGERING: Duration = Duration::from_secs(5);

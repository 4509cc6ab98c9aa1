//! `[gateway]`: the HTTP server.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::{HostName, text};

/// The HTTP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// Address and port to listen on. Default `127.0.0.1:8080`; beyond loopback it needs `allow_unauthenticated`.
    #[serde(with = "text::address")]
    pub listen: SocketAddr,
    /// Permits listening beyond loopback while [`AuthMode::None`](crate::AuthMode::None). Default `false`; only for a
    /// server that something else protects.
    pub allow_unauthenticated: bool,
    /// Host names that requests may name, besides IP addresses and `localhost`. Default none; add the names that clients
    /// and proxies use, or web pages could reach a private server under a name of their own (DNS rebinding).
    pub hosts: Vec<HostName>,
    /// Connections served at once; further ones wait. Default 10,000; raise it with the file descriptor limit.
    pub max_connections: NonZeroUsize,
    /// Largest request body, in bytes. Default 1 MiB; raise it for commands that carry documents.
    #[serde(with = "text::size")]
    pub max_body: ByteSize,
    /// Time a client has to send its request headers. Default 10 s, at most `request_timeout`; raise it for clients on
    /// very poor networks.
    #[serde(with = "text::duration")]
    pub header_timeout: Duration,
    /// Time for a whole request, streams excepted. Default 35 s, above `commands.timeout`, with which it changes.
    #[serde(with = "text::duration")]
    pub request_timeout: Duration,
    /// How long the server says that it is unready, while it still serves, before it stops accepting at shutdown. Default
    /// zero; set it to the load balancer's probe interval.
    #[serde(with = "text::duration")]
    pub unready_for: Duration,
    /// Time that requests under way get to finish at shutdown, after `unready_for`. Default 30 s; keep both together
    /// below the orchestrator's grace period. Zero cuts off at once.
    #[serde(with = "text::duration")]
    pub drain_timeout: Duration,
    /// Entries on a page when the request names no limit. Default 100.
    pub page_size: NonZeroU32,
    /// Most entries a request may ask for on one page. Default 1,000; raise it for exports.
    pub page_size_max: NonZeroU32,
    /// Most bytes of events or documents on one page, which then ends early, with `next`; one is there whatever its size.
    /// Default 1 MiB, 16 MiB at most; raise it for exports of large events.
    #[serde(with = "text::size")]
    pub page_bytes: ByteSize,
    /// Bytes that all pages together may hold of what was read for them. Default 64 MiB: 32 pages of the default size.
    /// Past it readers wait, and are refused when their time is up; raise it with memory and slow clients.
    #[serde(with = "text::size")]
    pub read_budget: ByteSize,
    /// Commands that one bulk request has in hand. Default 256: as many as make good use of a commit; raise it with
    /// `admission.per_node` for few clients far away.
    pub bulk_lines: NonZeroUsize,
    /// Bytes of the lines that one bulk request has in hand. Default 1 MiB; a larger line is carried out alone. Raise it for
    /// many large commands.
    #[serde(with = "text::size")]
    pub bulk_bytes: ByteSize,
    /// Bytes that all bulk requests together may hold, each `bulk_bytes` and a line of `max_body`. Default 64 MiB: 32 requests
    /// at a time. Further ones wait for their turn, and are refused after `commands.timeout`; raise it for more clients.
    #[serde(with = "text::size")]
    pub bulk_budget: ByteSize,
    /// Bytes that all streams together may hold of events of more than 128 KiB. Default 64 MiB; past it their streams wait
    /// for each other. Raise it for many slow clients of large events.
    #[serde(with = "text::size")]
    pub stream_budget: ByteSize,
    /// Reads of the log under way at once for streams that catch up and for pages of the log, all together; the others wait in
    /// order, for one page each. Default 2, so that they leave processors and connections to commands; raise it with cores
    /// where commands are few, and keep it below `journal.read_connections`.
    pub catch_up_reads: NonZeroU32,
    /// Streams of events open at once; further ones are refused. Default 1,000, each on one of `max_connections`; raise it
    /// for more clients that follow, with half a megabyte of memory for each in mind.
    pub max_streams: NonZeroUsize,
    /// Longest silence on a stream. Default 15 s, at least 100 ms; keep it below the idle timeout of every proxy between.
    #[serde(with = "text::duration")]
    pub stream_heartbeat: Duration,
}

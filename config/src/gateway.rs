//! `[gateway]`: the HTTP server.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::{HostName, Network, Tls, WebOrigin, text};

/// The HTTP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// Address and port to listen on. Default `127.0.0.1:8080`; an address beyond loopback needs
    /// `allow_unauthenticated`.
    #[serde(with = "text::address")]
    pub listen: SocketAddr,
    /// Allows the server to listen beyond loopback with [`AuthMode::None`](crate::AuthMode::None). Default `false`; set
    /// it only if a proxy, a mesh or a firewall controls access.
    pub allow_unauthenticated: bool,
    /// Host names that requests may name, besides IP addresses and `localhost`. Default none; add the names that
    /// clients and proxies use. Others are refused, because a web page could reach a private server under a host name
    /// of its own (DNS rebinding).
    pub hosts: Vec<HostName>,
    /// The networks of the proxies in front of this server, whose word on the address of a client counts. Default none:
    /// the address of the connection counts.
    pub trusted_proxies: Vec<Network>,
    /// The header in which trusted proxies name the address of the client. Default `x-forwarded-for`.
    pub forwarded_header: ForwardedHeader,
    /// The origins of other web pages that may read and send commands (CORS). Default none.
    pub cors_origins: Vec<WebOrigin>,
    /// Most connections at a time. Further ones wait. Default 10,000; raise it with the limit of file descriptors.
    pub max_connections: NonZeroUsize,
    /// Largest request body. Default 1 MiB; raise it for commands that carry documents.
    #[serde(with = "text::size")]
    pub max_body: ByteSize,
    /// Time that a client has to send its request headers. Default 10 s, at most `request_timeout`; raise it for
    /// clients on very poor networks.
    #[serde(with = "text::duration")]
    pub header_timeout: Duration,
    /// Time for a whole request, streams excepted. Default 35 s, longer than `commands.timeout`; change both together.
    #[serde(with = "text::duration")]
    pub request_timeout: Duration,
    /// How long a server that shuts down reports that it is unready, and still serves, before it stops accepting
    /// connections. Default zero; set it to the probe interval of the load balancer.
    #[serde(with = "text::duration")]
    pub unready_for: Duration,
    /// Time that running requests get to finish at shutdown, after `unready_for`. Default 30 s; keep both together
    /// below the grace period of the orchestrator. Zero closes their connections at once.
    #[serde(with = "text::duration")]
    pub drain_timeout: Duration,
    /// Entries on a page if the request names no limit. Default 100; change it to fit what clients show.
    pub page_size: NonZeroU32,
    /// Most entries that a request may ask for on one page. Default 1,000; raise it for exports.
    pub page_size_max: NonZeroU32,
    /// Most bytes of events or documents on one page, which then ends early, with `next`. It has at least one entry,
    /// whatever the size of that. Default 1 MiB, at most 16 MiB; raise it for exports of large events.
    #[serde(with = "text::size")]
    pub page_bytes: ByteSize,
    /// Memory for all pages together. Default 64 MiB: 32 pages of the default size. Beyond it, readers wait, and are
    /// refused after `commands.timeout`; raise it if there are many slow clients and enough memory.
    #[serde(with = "text::size")]
    pub read_budget: ByteSize,
    /// Commands that one bulk request has in progress. Default 256, which fill a commit well; raise it together with
    /// `admission.per_node` for few clients that are far away.
    pub bulk_lines: NonZeroUsize,
    /// Bytes of the lines that one bulk request has in progress. A larger line is carried out alone. Default 1 MiB;
    /// raise it for many large commands.
    #[serde(with = "text::size")]
    pub bulk_bytes: ByteSize,
    /// Memory for all bulk requests together, each with `bulk_bytes` and a line of `max_body`. Default 64 MiB: 32
    /// requests at a time. Further ones wait in order, and are refused after `commands.timeout`; raise it for more
    /// clients.
    #[serde(with = "text::size")]
    pub bulk_budget: ByteSize,
    /// Memory for the events of more than 128 KiB of all streams together. Beyond it, their streams wait for each
    /// other. Default 64 MiB; raise it for many slow clients of large events.
    #[serde(with = "text::size")]
    pub stream_budget: ByteSize,
    /// Reads of the log at a time for all streams that catch up and all pages of the log. Others wait in order, one
    /// page each. Default 2, which leaves processors and connections to commands; raise it with the number of
    /// processors if there are few commands, and keep it below `journal.read_connections`.
    pub catch_up_reads: NonZeroU32,
    /// Event streams at a time. Further ones are refused. Default 1,000, each on one of `max_connections`; raise it for
    /// more clients.
    pub max_streams: NonZeroUsize,
    /// Longest silence on a stream. Default 15 s, at least 100 ms; keep it below the idle timeout of every proxy on the
    /// way.
    #[serde(with = "text::duration")]
    pub stream_heartbeat: Duration,
    /// Encrypted connections. Off by default.
    pub tls: Tls,
}

/// The header in which a proxy names the address of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: addresses, separated by commas.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

//! `[journal]` and `[journal.postgres]`: everything durable.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::{JournalUrl, PostgresUrl, text};

/// Everything durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Where events are kept. Default `sqlite://./data`; PostgreSQL when several nodes share the work.
    pub url: JournalUrl,
    /// Databases that follow the one of `url` and may be read in its place. Default none; PostgreSQL only.
    pub replicas: Vec<PostgresUrl>,
    /// Most events in one commit, and the most one command may emit. Default 1,024, the most allowed; lower it to cap
    /// the latency of a single commit on slow disks.
    pub batch_events: NonZeroUsize,
    /// Committed events held in memory until indexed (SQLite); past it appends wait. Default 65,536; raise it for
    /// longer bursts.
    pub index_tail_events: NonZeroUsize,
    /// The same bound in bytes. Default 64 MiB; raise it for longer bursts or larger events.
    #[serde(with = "text::size")]
    pub index_tail: ByteSize,
    /// Connections for reading (SQLite: each a thread). Default 8; raise it with cores and many cold wake-ups.
    pub read_connections: NonZeroU32,
    /// Largest encoded payload of one event, in bytes. Default 1 MiB; a larger event refuses its command.
    #[serde(with = "text::size")]
    pub event_size_max: ByteSize,
    /// How long a start waits for another process that holds the lock of the log (SQLite). Default 30 s; raise it where
    /// a former owner may hang for longer in a commit.
    #[serde(with = "text::duration")]
    pub takeover_timeout: Duration,
    /// PostgreSQL only.
    pub postgres: Postgres,
}

/// How PostgreSQL is used; unused with other journals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// Connections kept open. Default 5; zero keeps none.
    pub connections_min: u32,
    /// Most connections of this node. Default 20; nodes times this must stay below the server's `max_connections`.
    pub connections_max: NonZeroU32,
    /// A connection above the minimum is closed when unused for so long. Default 30 s; raise it for load in waves.
    #[serde(with = "text::duration")]
    pub idle_timeout: Duration,
    /// Time to get a connection, established or from the pool. Default 2 s; raise it across regions.
    #[serde(with = "text::duration")]
    pub connect_timeout: Duration,
    /// The server cancels a statement that runs longer; a connection that is silent for longer counts as lost. Default
    /// 5 s; raise it for a slow server.
    #[serde(with = "text::duration")]
    pub statement_timeout: Duration,
    /// The server gives up waiting for a row lock after so long. Default 2 s, at most `statement_timeout`; it is how
    /// long a paused former owner can hold up its successor.
    #[serde(with = "text::duration")]
    pub lock_timeout: Duration,
}

//! `[journal]` and `[journal.postgres]`: the storage of events.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::{JournalUrl, PostgresUrl, text};

/// The storage of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Where events are stored. Default `sqlite://./data`; use PostgreSQL if several nodes share the work.
    pub url: JournalUrl,
    /// Databases that follow the one in `url` and may be read in its place. PostgreSQL only. Default none; add them if
    /// reads should not load the primary.
    pub replicas: Vec<PostgresUrl>,
    /// Most events in one commit, and so the most events of one command. Default 1,024, the most allowed; lower it to
    /// bound the latency of a commit on slow disks.
    pub batch_events: NonZeroUsize,
    /// SQLite: most committed events in memory until the index has them. Beyond it, appends wait. Default 65,536; raise
    /// it for longer bursts.
    pub index_tail_events: NonZeroUsize,
    /// The same bound in bytes. Default 64 MiB; raise it for longer bursts or larger events.
    #[serde(with = "text::size")]
    pub index_tail: ByteSize,
    /// Connections for reading. SQLite: each is a thread. Default 8; raise it with the number of processors, and if
    /// many aggregates are loaded from the journal.
    pub read_connections: NonZeroU32,
    /// What is encrypted before it is stored. Default `off`; `personal` and `all` need `keys.file`.
    pub encryption: Encryption,
    /// Largest encoded payload of one event. A command with a larger event is refused. Default 1 MiB; raise it only if
    /// events must carry documents, because large events slow down replay and the feed.
    #[serde(with = "text::size")]
    pub event_size_max: ByteSize,
    /// SQLite: how long a start waits for another process that holds the lock of the log. Default 30 s; raise it if a
    /// former owner may hang for longer in a commit.
    #[serde(with = "text::duration")]
    pub takeover_timeout: Duration,
    /// PostgreSQL only.
    pub postgres: Postgres,
}

/// What is encrypted before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Nothing, except personal fields of views while there are keys. What was encrypted before can still be read.
    Off,
    /// Personal values of events, replies, outgoing commands and views, and snapshots of states that may have some.
    Personal,
    /// Also each event, each reply and each snapshot as a whole.
    All,
}

/// How PostgreSQL is used. Other journals do not use this section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// Connections that stay open. Default 5; zero keeps none.
    pub connections_min: u32,
    /// Most connections of this node. Default 20; the number of nodes times this must be below the server's
    /// `max_connections`.
    pub connections_max: NonZeroU32,
    /// A connection above the minimum is closed after it was unused for this long. Default 30 s; raise it if load comes
    /// in waves.
    #[serde(with = "text::duration")]
    pub idle_timeout: Duration,
    /// Time to get a connection, new or from the pool. Default 2 s; raise it across regions.
    #[serde(with = "text::duration")]
    pub connect_timeout: Duration,
    /// The server cancels a statement that runs longer; a connection that has not answered `connect_timeout` after that
    /// counts as lost. Default 5 s; raise it for a slow server.
    #[serde(with = "text::duration")]
    pub statement_timeout: Duration,
    /// The server stops waiting for a row lock after this time. Default 2 s, at most `statement_timeout`. A former
    /// owner that is paused can delay its successor for this long.
    #[serde(with = "text::duration")]
    pub lock_timeout: Duration,
}

//! `[views]`: where projections store their documents, and how these are read.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{PostgresUrl, ViewsUrl, text};

/// Where projections store their documents, and how these are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Views {
    /// Where views are stored. Default `journal`: beside the journal. A place of their own keeps their load away from
    /// the journal.
    pub url: ViewsUrl,
    /// Databases that follow the one in `url` and may be read in its place. PostgreSQL only. Default none; add them if
    /// there are many reads.
    pub replicas: Vec<PostgresUrl>,
    /// Connections for reading. SQLite: each is a thread. Default 8; raise it with the number of processors and of
    /// readers at a time.
    pub read_connections: NonZeroU32,
    /// Longest time that a read waits for its view to reach a position. The wait always ends shortly before
    /// `gateway.request_timeout`. Default 5 s; raise it if readers should wait while a view is built.
    #[serde(with = "text::duration")]
    pub wait_timeout: Duration,
    /// A query that takes longer is logged and counted as slow. The wait for a position does not count. Default 100 ms;
    /// set it to the latency that your service promises.
    #[serde(with = "text::duration")]
    pub slow_after: Duration,
    /// How long caches may use a response without asking whether it is still valid, in whole seconds. Default zero:
    /// they must ask. Raise it for views that may be seen late.
    #[serde(with = "text::duration")]
    pub max_age: Duration,
}

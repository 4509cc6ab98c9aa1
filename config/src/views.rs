//! `[views]`: where projections keep their documents, and how these are read.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{PostgresUrl, ViewsUrl, text};

/// Where projections keep their documents, and how these are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Views {
    /// Where they are. Default `journal`: beside the journal; a place of their own keeps reads out of its way.
    pub url: ViewsUrl,
    /// Databases that follow the one of `url` and may be read in its place. Default none; PostgreSQL only.
    pub replicas: Vec<PostgresUrl>,
    /// Connections for reading (SQLite: each a thread). Default 8; raise it with cores and many readers at once.
    pub read_connections: NonZeroU32,
    /// Longest time that a read waits until its view has caught up with a write. Default 5 s; what is left of
    /// `gateway.request_timeout` bounds it, too.
    #[serde(with = "text::duration")]
    pub wait_timeout: Duration,
    /// A query that takes longer is logged and counted as slow, its wait for a write apart. Default 100 ms; set it to
    /// what you promise.
    #[serde(with = "text::duration")]
    pub slow_after: Duration,
    /// How long caches may give out an answer without asking whether it still holds, in whole seconds. Default zero:
    /// they must ask. Raise it for views that may be seen late by everybody.
    #[serde(with = "text::duration")]
    pub max_age: Duration,
}

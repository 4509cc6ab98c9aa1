//! `[projections]`: how views are kept up to date.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::text;

/// How views are kept up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projections {
    /// Batches in progress at a time on a node. Default 5; raise it with the number of processors and projections.
    pub workers: NonZeroUsize,
    /// Most parts into which a large batch is divided, to be decoded in parallel. Default 10; lower it to leave more
    /// processors to commands.
    pub parallelism: NonZeroUsize,
    /// Most events in one batch, which is one transaction. Default 8,192, at most 65,536; lower it for shorter
    /// transactions.
    pub batch_events: NonZeroUsize,
    /// Most bytes of events in one batch. One event is taken whatever its size. Default 8 MiB, at most 256 MiB; lower
    /// it to save memory. While one batch is projected the next is read, so that a view that is behind has two batches
    /// in memory, and the decoded events of one.
    #[serde(with = "text::size")]
    pub batch_bytes: ByteSize,
    /// Longest time from the beginning of a live batch to that of the next, so that more events share a transaction.
    /// Default 30 ms; lower it if views must be fresh under full load. Zero delays none.
    #[serde(with = "text::duration")]
    pub batch_interval: Duration,
    /// Memory for the documents that each projection keeps between batches. Default 32 MiB, zero keeps none; raise it
    /// for views with many busy documents.
    #[serde(with = "text::size")]
    pub cache: ByteSize,
    /// How often an event that cannot be projected is tried before its aggregate is parked. Default 3; 1 parks at the
    /// first failure.
    pub poison_attempts: NonZeroU32,
    /// A view that is behind and has not moved for this long is reported as degraded. Default 30 s; keep it above the
    /// time of the longest batch.
    #[serde(with = "text::duration")]
    pub stalled_after: Duration,
}

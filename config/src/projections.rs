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
    /// Batches that may be in hand at the same time on a node. Default 5; raise it with cores and many projections.
    pub workers: NonZeroUsize,
    /// Parts that a large batch is divided into at most, to be decoded side by side. Default 10; lower it to leave more of
    /// the processors to commands.
    pub parallelism: NonZeroUsize,
    /// Most events in one batch, which is one transaction. Default 8,192, 65,536 at most.
    pub batch_events: NonZeroUsize,
    /// Most bytes of events in one batch; one event is taken whatever its size. Default 8 MiB, 256 MiB at most. While one
    /// batch is projected the next is read, so that a view that is behind holds two of them, and what they are decoded to.
    #[serde(with = "text::size")]
    pub batch_bytes: ByteSize,
    /// Longest time from the beginning of a live batch to that of the next, to let more events come together. Default 30 ms;
    /// lower it where views must be fresh under full load. Zero puts off none.
    #[serde(with = "text::duration")]
    pub batch_interval: Duration,
    /// Documents that each projection keeps between batches, in bytes. Default 32 MiB; zero keeps none. Raise it for
    /// views whose busy documents are many.
    #[serde(with = "text::size")]
    pub cache: ByteSize,
    /// How often an event is tried before its aggregate is parked. Default 3; 1 parks at the first failure.
    pub poison_attempts: NonZeroU32,
    /// A view that is behind and has not moved for so long is reported as degraded. Default 30 s; raise it above the
    /// longest batch.
    #[serde(with = "text::duration")]
    pub stalled_after: Duration,
}

//! `[passivation]`: when live aggregates go back to sleep.

use std::num::NonZeroUsize;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::text;

/// When live aggregates go back to sleep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passivation {
    /// A live aggregate nobody named for so long is put to sleep. Default 48 h, the hot tier's TTL; zero switches the
    /// hot tier off (everything sleeps again at the next sweep).
    #[serde(with = "text::duration")]
    pub idle_after: Duration,
    /// Most live aggregates on this node. Default 100,000; set it to what your memory holds, at about 10 KiB each.
    pub max_live: NonZeroUsize,
    /// Memory for dormant aggregates, in bytes. Default 256 MiB, zero keeps none; raise it when wake-ups dominate.
    #[serde(with = "text::size")]
    pub dormant_budget: ByteSize,
    /// How often each shard looks for idle aggregates. Default 1 s; raise it if sweeps show in a profile.
    #[serde(with = "text::duration")]
    pub sweep_interval: Duration,
}

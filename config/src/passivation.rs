//! `[passivation]`: when live aggregates are unloaded.

use std::num::NonZeroUsize;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::text;

/// When live aggregates are unloaded. The engine's strategies are in `runtime/engine/src/passivation.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passivation {
    /// A live aggregate is put to sleep after no request used it for this long. Default 48 h, the TTL of the hot tier.
    /// Zero switches the hot tier off: all aggregates sleep again after the next sweep.
    #[serde(with = "text::duration")]
    pub idle_after: Duration,
    /// Most live aggregates on this node. Beyond it, the least recently used are put to sleep. Default 100,000; set it
    /// to the memory that you have, at about 10 KiB each.
    pub max_live: NonZeroUsize,
    /// Memory for dormant aggregates. Default 256 MiB, zero keeps none; raise it if wake-ups take much of the load.
    #[serde(with = "text::size")]
    pub dormant_budget: ByteSize,
    /// How often the node looks for idle aggregates. Default 1 s; a longer interval saves little.
    #[serde(with = "text::duration")]
    pub sweep_interval: Duration,
}

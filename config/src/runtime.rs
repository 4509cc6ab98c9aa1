//! `[runtime]`: how the work is divided, and how time is kept.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// How the work is divided, and how time is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// Ranges of slices, 1 to 1,024: the unit of supervision, ownership and movement. Default 64; raise it for many
    /// nodes. All nodes of a cluster must agree.
    pub shards: NonZeroU32,
    /// How far the last event of an aggregate may be ahead of the clock for the next events to get its time. Beyond
    /// that, they get the time of the clock. Default 24 h; raise it if clocks may be wrong by more and are corrected
    /// without an operator.
    #[serde(with = "text::duration")]
    pub time_carried_max: Duration,
}

//! `[runtime]`: how the work is divided.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// How the work is divided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// Ranges of slices: the unit of supervision, ownership and movement, 1 to 1,024. Default 64; raise it for many
    /// nodes. All nodes of a cluster must agree.
    pub shards: NonZeroU32,
    /// How far the last event of an aggregate may lie ahead of the clock for the next ones to carry its time; past that, they
    /// carry the clock's. Default 24 h; raise it where clocks are wrong by more and are set right without an operator.
    #[serde(with = "text::duration")]
    pub time_carried_max: Duration,
}

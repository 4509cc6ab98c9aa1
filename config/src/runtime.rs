//! `[runtime]`: how the work is divided.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// How the work is divided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// Ranges of slices: the unit of supervision, ownership and movement, 1 to 1,024. Default 64; raise it for many
    /// nodes. All nodes of a cluster must agree.
    pub shards: NonZeroU32,
}

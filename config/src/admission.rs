//! `[admission]`: how much work may wait.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// How much work may wait before callers are refused at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admission {
    /// Commands under way or waiting at one aggregate; past it 429. Default 1,024; lower it for a shorter line.
    pub per_aggregate: NonZeroUsize,
    /// Commands under way or waiting on this node; past it 503. Default 16,384; raise it with cores and memory.
    pub per_node: NonZeroUsize,
}

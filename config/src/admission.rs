//! `[admission]`: how many commands may wait.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// How many commands may wait before callers are refused at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admission {
    /// Commands in progress or waiting at one aggregate. Beyond it, the answer is 429. Default 1,024; lower it for a
    /// shorter wait.
    pub per_aggregate: NonZeroUsize,
    /// Commands in progress or waiting on this node. Beyond it, the answer is 503. Default 16,384; raise it with
    /// processors and memory.
    pub per_node: NonZeroUsize,
}

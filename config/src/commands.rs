//! `[commands]`: deadlines and idempotency.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// Deadlines and idempotency of commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// Time a command has when its caller sets none. Default 30 s; lower it to fail faster under overload.
    #[serde(with = "text::duration")]
    pub timeout: Duration,
    /// A command that takes longer is logged and counted as slow. Default 200 ms; set it to what you promise.
    #[serde(with = "text::duration")]
    pub slow_after: Duration,
    /// Command keys an aggregate keeps in memory, 16 bytes each; the journal has the older ones. Default 1,024; raise it
    /// for few aggregates with very many commands each.
    pub recent_keys: NonZeroUsize,
}

//! `[commands]`: deadlines and idempotency.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// Deadlines and idempotency of commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// Whether a command is answered before or after it is carried out, unless its request says. Default `sync`; set it to
    /// `async` if clients rather ask for the outcome later than wait for it.
    pub mode: CommandMode,
    /// Time for a command whose caller sets none. Default 30 s; lower it to fail faster under overload.
    #[serde(with = "text::duration")]
    pub timeout: Duration,
    /// A command that takes longer is logged and counted as slow. Default 200 ms; set it to the latency that your
    /// service promises.
    #[serde(with = "text::duration")]
    pub slow_after: Duration,
    /// Command keys that a live aggregate has in memory, 16 bytes each. The journal has the older ones. Default 1,024;
    /// raise it for few aggregates with very many commands each.
    pub recent_keys: NonZeroUsize,
}

/// When a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandMode {
    /// Once it is carried out, with its outcome.
    Sync,
    /// Once it is durable, with the address of its outcome.
    Async,
}

//! The supervisor tree: root → shards → aggregates, and beside the shards the sweep and the watch over the journal.

mod root;
mod shard;

use dormouse_config::Supervision;
use dormouse_kernel::Limits;

pub(crate) use root::{Root, RootMessage, Startup};
pub(crate) use shard::Shard;

/// How often something may fail, from the configuration.
pub(crate) fn limits(config: &Supervision) -> Limits {
    Limits {
        restarts: config.restarts as usize,
        window: config.window,
        backoff_min: config.backoff_min,
        backoff_max: config.backoff_max,
    }
}

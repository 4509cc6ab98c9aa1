//! The supervisor tree. The root supervises the shards and the sweeper, and watches the journal; a shard supervises the
//! actors of its aggregates.

mod actor_refs;
mod root;
mod shard;

use dormouse_config::Supervision;
use dormouse_kernel::{Backoff, Limits};

pub(crate) use actor_refs::ActorRefs;
pub(crate) use root::{Root, RootMessage, Startup};
pub(crate) use shard::Shard;

/// How often an actor may fail, from the configuration.
pub(crate) fn limits(config: &Supervision) -> Limits {
    Limits {
        restarts: config.restarts as usize,
        window: config.window,
        backoff: Backoff { first: config.backoff_min, longest: config.backoff_max },
    }
}

//! The supervisor tree: root → shards → aggregates, and beside the shards the sweep and the watch over the journal.

mod failures;
mod root;
mod shard;

pub(crate) use failures::{Failures, Limits, Verdict};
pub(crate) use root::{Root, RootMessage, Startup};
pub(crate) use shard::Shard;

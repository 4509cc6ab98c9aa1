//! `[snapshots]`: when snapshots are taken and how long they are kept.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// When snapshots are taken and how long they are kept. They are a cache: losing them loses nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshots {
    /// When one is taken. Default `adaptive`.
    pub strategy: SnapshotStrategy,
    /// `every_n`: events between snapshots; `adaptive`: no snapshot before so many. Default 50; lower it for shorter
    /// wake-ups, raise it for fewer writes.
    pub threshold: NonZeroU32,
    /// `adaptive`: snapshot when replaying what came since would cost more. Default 2 ms.
    #[serde(with = "text::duration")]
    pub replay_budget: Duration,
    /// Snapshots kept per aggregate. Default 5; older ones serve reads of past versions.
    pub keep_count: NonZeroU32,
    /// Snapshots kept beyond those, and whatever their age, spread evenly over a long history: a read of the past then replays a
    /// part of it, about a sixteenth at the default of 32. Zero keeps none; raise it for faster reads of the past, and disk.
    pub keep_sparse: u32,
    /// Older snapshots are removed. Default 90 days; raise it if aggregates with long histories sleep for longer.
    #[serde(with = "text::duration")]
    pub max_age: Duration,
}

/// When a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotStrategy {
    /// Never: an aggregate always wakes from all its events.
    Never,
    /// Each `threshold` events.
    EveryN,
    /// When replaying the events since the last one would cost more than `replay_budget`, measured per aggregate
    /// type, and there are at least `threshold` of them.
    Adaptive,
}

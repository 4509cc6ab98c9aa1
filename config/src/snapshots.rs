//! `[snapshots]`: when snapshots are taken and how long they are kept.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// When snapshots are taken and how long they are kept. They are a cache: losing them loses nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshots {
    /// When a snapshot is taken. Default `adaptive`, which fits types with cheap and with expensive replay.
    pub strategy: SnapshotStrategy,
    /// `every_n`: events between snapshots. `adaptive`: fewest events between snapshots. Default 50; lower it for
    /// shorter wake-ups, raise it for fewer writes.
    pub threshold: NonZeroU32,
    /// `adaptive`: how long a replay may take before a snapshot is taken. Default 2 ms; raise it for fewer writes.
    #[serde(with = "text::duration")]
    pub replay_budget: Duration,
    /// How many snapshots of an aggregate are kept. Default 5; older ones serve reads of past versions.
    pub keep_count: NonZeroU32,
    /// How many further snapshots are kept, whatever their age, spread evenly over a long history. A read of the past
    /// then replays a part of the history, about a sixteenth with the default of 32. Zero keeps none; raise it for
    /// faster reads of the past, if there is disk space.
    pub keep_sparse: u32,
    /// Snapshots older than this are removed. Default 90 days; raise it if aggregates with long histories sleep for
    /// longer.
    #[serde(with = "text::duration")]
    pub max_age: Duration,
}

/// When a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotStrategy {
    /// Never: an aggregate is always loaded from all its events.
    Never,
    /// After each `threshold` events.
    EveryN,
    /// When replaying the events since the last one would take longer than `replay_budget`, as measured for each
    /// aggregate type, and there are at least `threshold` of them.
    Adaptive,
}

//! Snapshots: a cache of states, so that loading an aggregate need not replay its whole history.

use dormouse_kernel::{AggregateRef, Chain, Timestamp, Version};

/// The state of an aggregate at one version, as bytes that only the engine reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The aggregate.
    pub aggregate: AggregateRef,
    /// The version of the last event in it.
    pub version: Version,
    /// The chain up to that event, which anchors the events after it.
    pub chain: Chain,
    /// When that event was recorded, for reads as of a time.
    pub recorded_at: Timestamp,
    /// The version of the encoding of states. A snapshot of another version is ignored.
    pub snapshot_version: u32,
    /// The state.
    pub body: Vec<u8>,
    /// When the snapshot was taken, for retention.
    pub taken_at: Timestamp,
}

impl Snapshot {
    /// A checksum over the snapshot (the first 16 bytes of a BLAKE3 hash), stored beside it. A store skips a snapshot
    /// whose checksum differs.
    #[must_use]
    pub fn checksum(&self) -> Chain {
        let event = dormouse_kernel::NewEvent {
            event_type: "".into(),
            schema_version: self.snapshot_version,
            payload: self.body.clone(),
            metadata: Vec::new(),
            recorded_at: self.recorded_at,
            chain: Chain::ROOT,
        };
        self.chain.next(&self.aggregate, self.version, None, &event)
    }
}

/// Which state of an aggregate is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// The latest state.
    Now,
    /// The state after the event with this version.
    Version(Version),
    /// The state after the last event that was recorded at or before this time.
    Time(Timestamp),
}

impl AsOf {
    /// Whether an event (or a snapshot whose last event) with this version and time belongs to the wanted state.
    #[must_use]
    pub fn includes(self, version: Version, recorded_at: Timestamp) -> bool {
        match self {
            Self::Now => true,
            Self::Version(last) => version <= last,
            Self::Time(last) => recorded_at <= last,
        }
    }
}

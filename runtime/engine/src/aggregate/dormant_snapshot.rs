//! A sleeping state: what the dormant tier keeps and snapshots are made of.

use dormouse_journal::{Anchor, Snapshot};
use dormouse_kernel::{Aggregate, AggregateRef, Chain, CodecError, Timestamp, Version, decode, encode};
use serde::{Deserialize, Serialize};

use super::LoadedAggregate;
use crate::keys::RecentKeys;

/// Keys that go into a snapshot: enough for a client that retries across a restart, 1 KiB at the most. Older ones are
/// asked of the journal.
const SNAPSHOT_KEYS: usize = 64;

/// A state as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DormantSnapshot {
    version: Version,
    chain: Chain,
    recorded_at: Timestamp,
    since_snapshot: u64,
    bytes: Box<[u8]>,
}

#[derive(Serialize)]
struct StoredRef<'a, A> {
    state: &'a A,
    keys: &'a RecentKeys,
}

#[derive(Deserialize)]
struct Stored<A> {
    state: A,
    keys: RecentKeys,
}

/// What outlives the process, with the shape of the state it was written of.
#[derive(Serialize)]
struct SnapshotRef<'a, A> {
    state: &'a A,
    keys: &'a RecentKeys,
    shape: u64,
    program: u64,
}

#[derive(Deserialize)]
struct StoredSnapshot<A> {
    state: A,
    keys: RecentKeys,
    /// Earlier versions of Dormouse wrote none. Nobody knows which fields such a state had, so it is not used.
    #[serde(default)]
    shape: Option<u64>,
    /// Which program wrote it. Earlier versions of Dormouse did not say.
    #[serde(default)]
    program: Option<u64>,
}

impl DormantSnapshot {
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// So many bytes that mean nothing.
    #[cfg(test)]
    pub(crate) fn of_bytes(version: u64, bytes: usize) -> Self {
        let (chain, recorded_at) = (Chain::ROOT, Timestamp::UNIX_EPOCH);
        Self { version: Version(version), chain, recorded_at, since_snapshot: 0, bytes: vec![0; bytes].into() }
    }
}

impl<A: Aggregate> LoadedAggregate<A> {
    /// Everything, for a wake-up on this node. `snapshotted` right now?
    pub(crate) fn to_dormant(&self, snapshotted: bool) -> Result<DormantSnapshot, CodecError> {
        // Boxed: what the encoder reserved too much would count for nothing in the budget.
        let bytes = encode(&StoredRef { state: &self.state, keys: &self.keys })?.into_boxed_slice();
        let Self { version, chain, recorded_at, .. } = *self;
        let since_snapshot = if snapshotted { 0 } else { self.since_snapshot };
        Ok(DormantSnapshot { version, chain, recorded_at, since_snapshot, bytes })
    }

    pub(crate) fn from_dormant(dormant: &DormantSnapshot) -> Result<Self, CodecError> {
        let Stored { state, keys } = decode(&dormant.bytes)?;
        let DormantSnapshot { version, chain, recorded_at, since_snapshot, .. } = *dormant;
        Ok(Self { state, keys, version, chain, recorded_at, since_snapshot })
    }

    /// What outlives the process.
    /// `shape` is that of the state ([`shape_of`](dormouse_kernel::shape_of)), `program` the one that [writes](crate::binary) it.
    pub(crate) fn to_snapshot(
        &self,
        aggregate: AggregateRef,
        now: Timestamp,
        shape: u64,
        program: u64,
    ) -> Result<Snapshot, CodecError> {
        let keys = &self.keys.latest(SNAPSHOT_KEYS);
        Ok(Snapshot {
            aggregate,
            version: self.version,
            chain: self.chain,
            recorded_at: self.recorded_at,
            snapshot_version: A::SNAPSHOT_VERSION,
            body: encode(&SnapshotRef { state: &self.state, keys, shape, program })?,
            taken_at: now,
        })
    }

    /// The state in a snapshot, if it was written in today's way of a state of today's shape, and the program that did.
    pub(crate) fn from_snapshot(snapshot: &Snapshot, shape: u64) -> Option<(Self, Option<u64>)> {
        if snapshot.snapshot_version != A::SNAPSHOT_VERSION {
            return None;
        }
        let StoredSnapshot { state, keys, shape: stored, program } = decode(&snapshot.body).ok()?;
        if stored != Some(shape) {
            return None;
        }
        let Snapshot { version, chain, recorded_at, .. } = *snapshot;
        Some((Self { state, keys, version, chain, recorded_at, since_snapshot: 0 }, program))
    }

    /// From where to read on.
    pub(crate) fn anchor(&self) -> Anchor {
        Anchor { version: self.version, chain: self.chain }
    }
}

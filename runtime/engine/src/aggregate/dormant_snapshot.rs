//! A loaded aggregate as bytes in memory, for the dormant tier.

use dormouse_kernel::{Aggregate, Chain, CodecError, Timestamp, Version, decode, encode};
use serde::{Deserialize, Serialize};

use super::LoadedAggregate;
use crate::keys::RecentKeys;

/// A loaded aggregate as bytes. Only the process that made it reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DormantSnapshot {
    version: Version,
    chain: Chain,
    recorded_at: Timestamp,
    since_snapshot: u64,
    bytes: Box<[u8]>,
}

#[derive(Serialize)]
struct EncodedRef<'a, A> {
    state: &'a A,
    keys: &'a RecentKeys,
}

#[derive(Deserialize)]
struct Encoded<A> {
    state: A,
    keys: RecentKeys,
}

impl DormantSnapshot {
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// A snapshot of this many bytes, which do not decode.
    #[cfg(test)]
    pub(crate) fn of_bytes(version: u64, bytes: usize) -> Self {
        let (chain, recorded_at) = (Chain::ROOT, Timestamp::UNIX_EPOCH);
        Self { version: Version(version), chain, recorded_at, since_snapshot: 0, bytes: vec![0; bytes].into() }
    }
}

impl<A: Aggregate> LoadedAggregate<A> {
    /// Everything that a wake-up on this node needs. `snapshotted` says that a snapshot of this version was taken.
    pub(crate) fn to_dormant(&self, snapshotted: bool) -> Result<DormantSnapshot, CodecError> {
        // Boxed, because the budget does not count capacity that the encoder reserved and did not use.
        let bytes = encode(&EncodedRef { state: &self.state, keys: &self.keys })?.into_boxed_slice();
        let Self { version, chain, recorded_at, .. } = *self;
        let since_snapshot = if snapshotted { 0 } else { self.since_snapshot };
        Ok(DormantSnapshot { version, chain, recorded_at, since_snapshot, bytes })
    }

    pub(crate) fn from_dormant(dormant: &DormantSnapshot) -> Result<Self, CodecError> {
        let Encoded { state, keys } = decode(&dormant.bytes)?;
        let DormantSnapshot { version, chain, recorded_at, since_snapshot, .. } = *dormant;
        Ok(Self { state, keys, version, chain, recorded_at, since_snapshot })
    }
}

//! A loaded aggregate as bytes in memory, for the dormant tier.

use dormouse_kernel::{Aggregate, Chain, CodecError, Timestamp, Version, decode, encode};
use serde::{Deserialize, Serialize};

use super::LoadedAggregate;
use super::active_timers::ActiveTimers;
use crate::keys::RecentKeys;

/// A loaded aggregate as bytes. Only the process that made it reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DormantSnapshot {
    version: Version,
    chain: Chain,
    recorded_at: Timestamp,
    since_snapshot: u64,
    forgets: u64,
    bytes: Box<[u8]>,
}

#[derive(Serialize)]
struct EncodedRef<'a, A> {
    state: &'a A,
    keys: &'a RecentKeys,
    timers: &'a ActiveTimers,
}

#[derive(Deserialize)]
struct Encoded<A> {
    state: A,
    keys: RecentKeys,
    timers: ActiveTimers,
}

impl DormantSnapshot {
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// [`RegisteredType::forgets`](crate::registered_type::RegisteredType::forgets) when the state was loaded.
    pub(crate) const fn forgets(&self) -> u64 {
        self.forgets
    }

    /// A snapshot of this many bytes, which do not decode.
    #[cfg(test)]
    pub(crate) fn of_bytes(version: u64, bytes: usize) -> Self {
        let (chain, recorded_at) = (Chain::ROOT, Timestamp::UNIX_EPOCH);
        Self {
            version: Version(version),
            chain,
            recorded_at,
            since_snapshot: 0,
            forgets: 0,
            bytes: vec![0; bytes].into(),
        }
    }
}

impl<A: Aggregate> LoadedAggregate<A> {
    /// Everything that a wake-up on this node needs. `snapshotted` says that a snapshot of this version was taken.
    pub(crate) fn to_dormant(&self, snapshotted: bool) -> Result<DormantSnapshot, CodecError> {
        // Boxed, because the budget does not count capacity that the encoder reserved and did not use.
        let bytes =
            encode(&EncodedRef { state: &self.state, keys: &self.keys, timers: &self.timers })?.into_boxed_slice();
        let Self { version, chain, recorded_at, forgets, .. } = *self;
        let since_snapshot = if snapshotted { 0 } else { self.since_snapshot };
        Ok(DormantSnapshot { version, chain, recorded_at, since_snapshot, forgets, bytes })
    }

    pub(crate) fn from_dormant(dormant: &DormantSnapshot) -> Result<Self, CodecError> {
        let Encoded { state, keys, timers } = decode(&dormant.bytes)?;
        let DormantSnapshot { version, chain, recorded_at, since_snapshot, forgets, .. } = *dormant;
        Ok(Self { state, keys, timers, version, chain, recorded_at, since_snapshot, forgets })
    }
}

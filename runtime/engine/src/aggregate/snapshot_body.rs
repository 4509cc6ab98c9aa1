//! A loaded aggregate as a snapshot, which outlives the process.

use dormouse_journal::Snapshot;
use dormouse_kernel::{Aggregate, AggregateRef, CodecError, Timestamp, decode, encode};
use serde::{Deserialize, Serialize};

use super::LoadedAggregate;
use super::active_timers::ActiveTimers;
use crate::keys::RecentKeys;

/// How many keys a snapshot keeps: enough for a client that retries across a restart, 1 KiB at most. Older keys are
/// looked up in the journal.
const SNAPSHOT_KEYS: usize = 64;

/// The stored format.
#[derive(Serialize)]
struct BodyRef<'a, A> {
    state: &'a A,
    keys: &'a RecentKeys,
    #[serde(skip_serializing_if = "ActiveTimers::is_empty")]
    timers: &'a ActiveTimers,
    shape: u64,
    program: u64,
}

#[derive(Deserialize)]
struct Body<A> {
    state: A,
    keys: RecentKeys,
    /// Earlier versions of Dormouse had no timers.
    #[serde(default)]
    timers: ActiveTimers,
    /// The shape of the state. Earlier versions of Dormouse did not write it. Such a snapshot is not used, because its
    /// state may have had other fields.
    #[serde(default)]
    shape: Option<u64>,
    /// The program that wrote the snapshot. Earlier versions of Dormouse did not write it.
    #[serde(default)]
    program: Option<u64>,
}

impl<A: Aggregate> LoadedAggregate<A> {
    /// A snapshot taken at `now`. `shape` is that of the state ([`shape_of`](dormouse_kernel::shape_of)), and `program`
    /// the [fingerprint](crate::binary::fingerprint) of the program that writes it.
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
            body: encode(&BodyRef { state: &self.state, keys, timers: &self.timers, shape, program })?,
            taken_at: now,
        })
    }

    /// Reads a snapshot and the program that wrote it. `None` if it has another `SNAPSHOT_VERSION`, or a state of
    /// another shape, or does not decode.
    pub(crate) fn from_snapshot(snapshot: &Snapshot, shape: u64) -> Option<(Self, Option<u64>)> {
        if snapshot.snapshot_version != A::SNAPSHOT_VERSION {
            return None;
        }
        let Body { state, keys, timers, shape: stored, program } = decode(&snapshot.body).ok()?;
        if stored != Some(shape) {
            return None;
        }
        let Snapshot { version, chain, recorded_at, .. } = *snapshot;
        Some((Self { state, keys, timers, version, chain, recorded_at, since_snapshot: 0, forgets: 0 }, program))
    }
}

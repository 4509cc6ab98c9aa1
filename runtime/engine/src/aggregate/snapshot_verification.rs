//! Compares snapshots with the fold of their events.

use dormouse_journal::{AsOf, Snapshot};
use dormouse_kernel::{Aggregate, AggregateId, Version};

use super::LoadedAggregate;
use super::loading::{LoadError, replay};
use super::state_equality::states_equal;
use crate::registered_type::RegisteredType;

/// What a comparison of the snapshots of one aggregate has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotVerification {
    /// Snapshots that were compared with the fold of their events.
    pub compared: u64,
    /// Snapshots of another shape, `SNAPSHOT_VERSION` or history. Wake-ups do not use these either.
    pub unused: u64,
    /// The versions of the snapshots that differ.
    pub differing: Vec<Version>,
}

/// Compares all snapshots of an aggregate. It reads the events once, in order.
pub(crate) async fn verify<A: Aggregate>(
    registered: &RegisteredType<A>,
    id: &AggregateId,
) -> Result<SnapshotVerification, LoadError> {
    let aggregate = registered.aggregate(id);
    let (mut verified, mut stored) = (SnapshotVerification::default(), Vec::new());
    let mut before = AsOf::Now;
    while let Some(snapshot) = registered.node.journal.snapshot(&aggregate, before).await {
        match LoadedAggregate::<A>::from_snapshot(&snapshot, registered.shape) {
            Some((loaded, _)) => stored.push(loaded),
            None => verified.unused += 1,
        }
        let Snapshot { version, .. } = snapshot;
        let Some(earlier) = version.0.checked_sub(1) else { break };
        before = AsOf::Version(Version(earlier));
    }
    let mut folded = LoadedAggregate::new();
    for stored in stored.iter().rev() {
        replay(registered, &aggregate, &mut folded, AsOf::Version(stored.version)).await?;
        if folded.chain != stored.chain {
            verified.unused += 1;
            continue;
        }
        verified.compared += 1;
        if !states_equal(&folded.state, &stored.state)? {
            verified.differing.push(stored.version);
        }
    }
    Ok(verified)
}

//! Snapshots held against the fold of their events.

use dormouse_journal::{AsOf, Snapshot};
use dormouse_kernel::{Aggregate, AggregateId, Version};

use super::Resident;
use super::sameness::is_same;
use super::waking::{WakeError, replay};
use crate::kind::Kind;

/// What was found of the snapshots of one aggregate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Snapshots that were compared with the fold of their events.
    pub compared: u64,
    /// Of another shape or `SNAPSHOT_VERSION`, or of another history: wake-ups do not use these either.
    pub unused: u64,
    /// The versions of those that differ.
    pub differing: Vec<Version>,
}

/// Compares all snapshots of an aggregate; its events are read once, in order.
pub(crate) async fn verify<A: Aggregate>(kind: &Kind<A>, id: &AggregateId) -> Result<Verified, WakeError> {
    let aggregate = kind.aggregate(id);
    let (mut verified, mut stored) = (Verified::default(), Vec::new());
    let mut before = AsOf::Now;
    while let Some(snapshot) = kind.node.journal.snapshot(&aggregate, before).await {
        match Resident::<A>::from_snapshot(&snapshot, kind.shape) {
            Some((resident, _)) => stored.push(resident),
            None => verified.unused += 1,
        }
        let Snapshot { version, .. } = snapshot;
        let Some(earlier) = version.0.checked_sub(1) else { break };
        before = AsOf::Version(Version(earlier));
    }
    let mut folded = Resident::new();
    for stored in stored.iter().rev() {
        replay(kind, &aggregate, &mut folded, AsOf::Version(stored.version)).await?;
        if folded.chain != stored.chain {
            verified.unused += 1;
            continue;
        }
        verified.compared += 1;
        if !is_same(&folded.state, &stored.state)? {
            verified.differing.push(stored.version);
        }
    }
    Ok(verified)
}

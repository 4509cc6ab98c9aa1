//! Decides whether snapshots that another program wrote are used.
//!
//! The code that applies events may have changed although the shape of the state has not. So the first few snapshots of
//! each type are compared to the fold of their events, and none is used before.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, counter};
use tracing::{error, info};

use crate::metric;

/// How many snapshots of a type are compared. A change of code affects most aggregates of its type, or only a few. A
/// sample finds the former, and `snapshots verify` the latter.
const SAMPLES: u32 = 16;

/// How long all comparisons of a type may take together. If histories are long, fewer comparisons must be enough.
const SAMPLING: Duration = Duration::from_secs(10);

/// What the comparisons have shown about the snapshots of one type that other programs wrote.
#[derive(Debug)]
pub(crate) struct SnapshotSample {
    aggregate_type: &'static str,
    program: u64,
    state: Mutex<State>,
    differing: Counter,
}

#[derive(Debug)]
enum State {
    Sampling { compared: u32, took: Duration },
    Accepted,
    Ignored(String),
}

/// How a snapshot is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SnapshotUse {
    /// Load it.
    Accept,
    /// Load the fold of its events, and [report](SnapshotSample::compared) whether the snapshot equals it.
    Compare,
    /// Load as if there were none.
    Ignore,
}

impl SnapshotSample {
    /// `program` is this one's [fingerprint](crate::binary::fingerprint).
    pub(crate) fn new(aggregate_type: &'static str, program: u64) -> Self {
        let differing = counter!(metric::SNAPSHOTS_DIFFERING, "aggregate_type" => aggregate_type);
        // Zero from the start, so that a rate shows the first one too.
        differing.increment(0);
        let state = Mutex::new(State::Sampling { compared: 0, took: Duration::ZERO });
        Self { aggregate_type, program, state, differing }
    }

    /// The fingerprint that a new snapshot contains.
    pub(crate) fn program(&self) -> u64 {
        self.program
    }

    /// How to use a snapshot that `program` wrote. Snapshots of earlier versions of Dormouse do not name their program.
    pub(crate) fn decide(&self, program: Option<u64>) -> SnapshotUse {
        if program == Some(self.program) {
            return SnapshotUse::Accept;
        }
        match *self.state() {
            State::Sampling { .. } => SnapshotUse::Compare,
            State::Accepted => SnapshotUse::Accept,
            State::Ignored(_) => SnapshotUse::Ignore,
        }
    }

    /// Reports that a snapshot was compared to the fold of its events, and how long that took.
    pub(crate) fn compared(&self, snapshot: &impl std::fmt::Display, is_same: bool, took: Duration) {
        if !is_same {
            self.differing.increment(1);
            let mut state = self.state();
            if !matches!(*state, State::Ignored(_)) {
                error!(
                    aggregate_type = self.aggregate_type, %snapshot,
                    "a snapshot differs from the fold of its events, snapshots of this type that other programs wrote are \
                     ignored: raise SNAPSHOT_VERSION"
                );
                *state = State::Ignored(format!("{snapshot} differs from what its events lead to"));
            }
            return;
        }
        let mut state = self.state();
        if let State::Sampling { compared, took: so_far } = &mut *state {
            *compared += 1;
            *so_far += took;
            if *compared >= SAMPLES || *so_far >= SAMPLING {
                info!(
                    aggregate_type = self.aggregate_type,
                    compared, "snapshots of another program equal the fold of their events, they are used from now on"
                );
                *state = State::Accepted;
            }
        }
    }

    /// Why snapshots of other programs are ignored. `None` if they are not.
    pub(crate) fn ignored_because(&self) -> Option<String> {
        match &*self.state() {
            State::Ignored(reason) => Some(reason.clone()),
            State::Sampling { .. } | State::Accepted => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment, so that a panic leaves no half of one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Option<u64> = Some(7);
    const OTHER: Option<u64> = Some(8);

    #[test]
    fn a_snapshot_of_this_program_is_trusted() {
        let sample = SnapshotSample::new("a", 7);
        assert_eq!(sample.decide(OWN), SnapshotUse::Accept);
        sample.compared(&"a/1", false, Duration::ZERO);
        assert_eq!(sample.decide(OWN), SnapshotUse::Accept);
    }

    #[test]
    fn snapshots_of_others_are_trusted_once_enough_were_equal_or_the_comparisons_took_long_enough() {
        for (samples, took) in [(SAMPLES, Duration::ZERO), (2, SAMPLING / 2)] {
            let sample = SnapshotSample::new("a", 7);
            for _ in 0..samples {
                assert_eq!((sample.decide(OTHER), sample.decide(None)), (SnapshotUse::Compare, SnapshotUse::Compare));
                sample.compared(&"a/1", true, took);
            }
            assert_eq!((sample.decide(OTHER), sample.ignored_because()), (SnapshotUse::Accept, None));
        }
    }

    #[test]
    fn after_one_that_differs_all_of_others_are_ignored() {
        let sample = SnapshotSample::new("a", 7);
        sample.compared(&"a/1", false, Duration::ZERO);
        (0..=SAMPLES).for_each(|_| sample.compared(&"a/2", true, Duration::ZERO));
        assert_eq!((sample.decide(OTHER), sample.decide(None)), (SnapshotUse::Ignore, SnapshotUse::Ignore));
        assert_eq!(sample.ignored_because().unwrap(), "a/1 differs from what its events lead to");
    }
}

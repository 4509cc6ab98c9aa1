//! Snapshots that another program wrote: what their events lead to may have changed although the state's shape has not. So the
//! first few of each type are compared with the fold of their events, and none is used before.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, counter};
use tracing::{error, info};

use crate::metric;

/// Snapshots of a type that are compared. A change of code concerns most aggregates of its type, or few: a sample finds the
/// former, `snapshots verify` the latter.
const SAMPLES: u32 = 16;

/// What all comparisons of a type may take together: of long histories a few must do.
const SAMPLING: Duration = Duration::from_secs(10);

/// What is known of the snapshots of one type that other programs wrote.
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
    Sound,
    Wrong(String),
}

/// What to do with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    AsItIs,
    /// Its events decide; then it is [known](SnapshotSample::compared) whether it was right.
    Compare,
    Ignore,
}

impl SnapshotSample {
    /// `program` is this one's [fingerprint](crate::binary::fingerprint).
    pub(crate) fn new(aggregate_type: &'static str, program: u64) -> Self {
        let differing = counter!(metric::SNAPSHOTS_DIFFERING, "aggregate_type" => aggregate_type);
        // From the start, so that a rate shows the first one too.
        differing.increment(0);
        let state = Mutex::new(State::Sampling { compared: 0, took: Duration::ZERO });
        Self { aggregate_type, program, state, differing }
    }

    /// What goes into a snapshot that is taken now.
    pub(crate) fn program(&self) -> u64 {
        self.program
    }

    /// What to do with a snapshot that this program wrote; those of earlier versions of Dormouse do not say which did.
    pub(crate) fn judge(&self, program: Option<u64>) -> Use {
        if program == Some(self.program) {
            return Use::AsItIs;
        }
        match *self.state() {
            State::Sampling { .. } => Use::Compare,
            State::Sound => Use::AsItIs,
            State::Wrong(_) => Use::Ignore,
        }
    }

    /// A snapshot was compared with its events, which took so long.
    pub(crate) fn compared(&self, snapshot: &impl std::fmt::Display, is_same: bool, took: Duration) {
        if !is_same {
            self.differing.increment(1);
            let mut state = self.state();
            if !matches!(*state, State::Wrong(_)) {
                error!(
                    aggregate_type = self.aggregate_type, %snapshot,
                    "a snapshot differs from what its events lead to: snapshots of this type that other programs wrote are \
                     ignored, raise SNAPSHOT_VERSION"
                );
                *state = State::Wrong(format!("{snapshot} differs from what its events lead to"));
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
                    compared, "snapshots of another program are as their events say"
                );
                *state = State::Sound;
            }
        }
    }

    /// Why snapshots are ignored, if they are.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &*self.state() {
            State::Wrong(reason) => Some(reason.clone()),
            State::Sampling { .. } | State::Sound => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Option<u64> = Some(7);
    const OTHER: Option<u64> = Some(8);

    #[test]
    fn what_this_program_wrote_is_used_as_it_is() {
        let sample = SnapshotSample::new("a", 7);
        assert_eq!(sample.judge(OWN), Use::AsItIs);
        sample.compared(&"a/1", false, Duration::ZERO);
        assert_eq!(sample.judge(OWN), Use::AsItIs);
    }

    #[test]
    fn others_are_used_once_so_many_were_right_or_it_took_so_long() {
        for (samples, took) in [(SAMPLES, Duration::ZERO), (2, SAMPLING / 2)] {
            let sample = SnapshotSample::new("a", 7);
            for _ in 0..samples {
                assert_eq!((sample.judge(OTHER), sample.judge(None)), (Use::Compare, Use::Compare));
                sample.compared(&"a/1", true, took);
            }
            assert_eq!((sample.judge(OTHER), sample.trouble()), (Use::AsItIs, None));
        }
    }

    #[test]
    fn after_one_that_differs_none_is_used() {
        let sample = SnapshotSample::new("a", 7);
        sample.compared(&"a/1", false, Duration::ZERO);
        (0..=SAMPLES).for_each(|_| sample.compared(&"a/2", true, Duration::ZERO));
        assert_eq!((sample.judge(OTHER), sample.judge(None)), (Use::Ignore, Use::Ignore));
        assert_eq!(sample.trouble().unwrap(), "a/1 differs from what its events lead to");
    }
}

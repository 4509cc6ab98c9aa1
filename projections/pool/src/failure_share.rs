//! Whether a projection has to park so much that its code must be wrong.

use crate::error::ProjectionError;
use crate::limits::JUDGED_AGGREGATES;

/// How many aggregates a worker has met with lately, and how many of them it had to park.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FailureShare {
    met: usize,
    parked: usize,
}

impl FailureShare {
    /// A batch with events of `met` aggregates has parked `parked` of them, durably.
    ///
    /// # Errors
    /// If that makes more than half of enough aggregates. What is parked is tried again by whoever mends the code.
    pub(crate) fn add(&mut self, met: usize, parked: usize) -> Result<(), ProjectionError> {
        self.met += met;
        self.parked += parked;
        if self.met < JUDGED_AGGREGATES {
            return Ok(());
        }
        if self.parked * 2 > self.met {
            let Self { met, parked } = *self;
            return Err(ProjectionError::Permanent(format!(
                "of the last {met} aggregates {parked} could not be projected: that is not a few events, but the projection. \
                 Mend it, resume it, and retry what is parked"
            )));
        }
        if self.met >= 2 * JUDGED_AGGREGATES {
            // What was long ago counts less and less.
            *self = Self { met: self.met / 2, parked: self.parked / 2 };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_stops_when_most_fails_and_not_before_enough_was_seen() {
        let mut failure_share = FailureShare::default();
        failure_share.add(JUDGED_AGGREGATES - 1, JUDGED_AGGREGATES - 1).unwrap();
        assert!(failure_share.add(1, 0).is_err());
    }

    #[test]
    fn half_of_all_may_fail_for_ever() {
        let mut failure_share = FailureShare::default();
        for _ in 0..100 {
            failure_share.add(JUDGED_AGGREGATES, JUDGED_AGGREGATES / 2).unwrap();
        }
        // It is noticed when that changes, whatever came before.
        assert!((0..4).any(|_| failure_share.add(JUDGED_AGGREGATES, JUDGED_AGGREGATES).is_err()));
    }
}

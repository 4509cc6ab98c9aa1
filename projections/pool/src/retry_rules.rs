//! The rules for repeating what failed, and the numbers that govern them.
//!
//! 1. **Transient error** ([`ProjectionError::Transient`]: the store, the journal or the data keys do not answer). The
//!    worker repeats its step for as long as it takes. The pause between two attempts doubles ([`Options::pause_after`]).
//! 2. **Permanent error**, or a panic of the worker. The worker ends, and the supervisor restarts it: at once the first
//!    time, then after a pause that doubles. After `supervision.restarts` restarts within `supervision.window`, the job
//!    is given up until an operator resumes the projection ([`Options::restart_limits`]; `dormouse_kernel::Failures`
//!    counts).
//! 3. **The build does not exist any more** ([`ProjectionError::BuildGone`]). The worker ends and is not restarted. If
//!    no other worker of the projection is left, the supervisor counts a failure of the planner and makes a new plan by
//!    rule 2.
//! 4. **The documents of a batch are too large** ([`ProjectionError::TooLarge`]). The worker repeats at once with half
//!    as many events ([`fewer_events`]). After each batch that succeeds it takes a few more ([`more_events`]). It does
//!    the same if a subject was forgotten during the batch ([`ProjectionError::Forgotten`]): a small batch ends before
//!    the next one is forgotten.
//! 5. **Poison**: an event that cannot be projected. The worker repeats the batch, with the pauses of rule 1, up to
//!    `poison_attempts` attempts ([`Options::pause_before_poison_retry`]). Then it parks the event.
//! 6. **Too much poison** ([`FailureShare`]): if more than half of the aggregates are parked, the projection's code is
//!    wrong. That is a permanent error.
//! 7. **Parked events** are repeated only by an operator, or by a rebuild.
//!
//! `error.rs` decides which errors of the store and the journal are transient.

use std::time::Duration;

use dormouse_config::Supervision;
use dormouse_kernel::{Backoff, Limits};

use crate::error::ProjectionError;
use crate::options::Options;

/// A projection stops if its worker has had events of at least this many aggregates since it opened the build, and had
/// to park more than half of them. With a smaller number, a few bad events after a start would stop a projection.
const FAILURE_SHARE_AGGREGATES: usize = 1_000;

/// What a worker does after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterError {
    /// It repeats the step after a pause.
    Pause,
    /// It ends, and the supervisor does not restart it.
    EndForGood,
    /// It ends with the error, and the supervisor restarts it within limits.
    Fail,
}

impl AfterError {
    pub(crate) fn of(error: &ProjectionError) -> Self {
        match error {
            ProjectionError::Transient(_) => Self::Pause,
            ProjectionError::BuildGone => Self::EndForGood,
            // Such a batch is repeated where it is projected. Elsewhere there is nothing to make smaller.
            ProjectionError::Permanent(_) | ProjectionError::TooLarge | ProjectionError::Forgotten => Self::Fail,
        }
    }
}

impl Options {
    /// How often the supervisor restarts a worker, and the pauses between the restarts.
    pub(crate) fn restart_limits(&self) -> Limits {
        let Supervision { restarts, window, .. } = self.supervision;
        Limits { restarts: restarts as usize, window, backoff: self.backoff() }
    }

    /// The pause after this many attempts in a row that failed.
    pub(crate) fn pause_after(&self, attempts: u32) -> Duration {
        self.backoff().pause_after(attempts)
    }

    fn backoff(&self) -> Backoff {
        let Supervision { backoff_min, backoff_max, .. } = self.supervision;
        Backoff { first: backoff_min, longest: backoff_max }
    }

    /// The pause before a batch with poison is repeated after this many attempts. `None`: the poison must be parked.
    pub(crate) fn pause_before_poison_retry(&self, attempts: u32) -> Option<Duration> {
        (attempts < self.poison_attempts.get()).then(|| self.pause_after(attempts))
    }
}

/// How many events the next batch may have after a batch of `events` whose documents were too large.
pub(crate) fn fewer_events(events: usize) -> usize {
    (events / 2).max(1)
}

/// How many events the next batch may have after a batch that succeeded under a limit of `events`. The limit grows
/// slowly, because each batch that turns out to be too large has read its documents for nothing.
pub(crate) fn more_events(events: usize, max: usize) -> usize {
    (events + events / 8 + 1).min(max)
}

/// The number of aggregates in a worker's recent batches, and how many of these it had to park.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FailureShare {
    aggregates: usize,
    parked: usize,
}

impl FailureShare {
    /// Counts a batch that is committed: it had events of `aggregates` aggregates and parked `parked` of these.
    ///
    /// # Errors
    /// A permanent error if more than half of enough aggregates are parked.
    pub(crate) fn add(&mut self, aggregates: usize, parked: usize) -> Result<(), ProjectionError> {
        self.aggregates += aggregates;
        self.parked += parked;
        if self.aggregates < FAILURE_SHARE_AGGREGATES {
            return Ok(());
        }
        if self.parked * 2 > self.aggregates {
            let Self { aggregates, parked } = *self;
            let problem = format!(
                "{parked} of the last {aggregates} aggregates could not be projected, so the projection's code is wrong: fix \
                 it, resume the projection, and retry what is parked"
            );
            return Err(ProjectionError::Permanent(problem.into()));
        }
        if self.aggregates >= 2 * FAILURE_SHARE_AGGREGATES {
            // Older batches count less and less.
            *self = Self { aggregates: self.aggregates / 2, parked: self.parked / 2 };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_is_parked_after_its_last_attempt() {
        let options = Options { poison_attempts: 2.try_into().unwrap(), ..Options::default() };
        assert_eq!(options.pause_before_poison_retry(1), Some(options.pause_after(1)));
        assert_eq!(options.pause_before_poison_retry(2), None);
    }

    #[test]
    fn batches_shrink_fast_and_grow_slowly() {
        assert_eq!([1000, 3, 1, 0].map(fewer_events), [500, 1, 1, 1]);
        assert_eq!([1, 80, 1000].map(|events| more_events(events, 1100)), [2, 91, 1100]);
    }

    #[test]
    fn a_projection_stops_when_more_than_half_of_enough_aggregates_are_parked() {
        let mut failure_share = FailureShare::default();
        failure_share.add(FAILURE_SHARE_AGGREGATES - 1, FAILURE_SHARE_AGGREGATES - 1).unwrap();
        assert!(failure_share.add(1, 0).is_err());
    }

    #[test]
    fn half_of_all_aggregates_may_be_parked_for_ever() {
        let mut failure_share = FailureShare::default();
        for _ in 0..100 {
            failure_share.add(FAILURE_SHARE_AGGREGATES, FAILURE_SHARE_AGGREGATES / 2).unwrap();
        }
        // A later change is noticed soon, also after a long time.
        assert!((0..4).any(|_| failure_share.add(FAILURE_SHARE_AGGREGATES, FAILURE_SHARE_AGGREGATES).is_err()));
    }
}

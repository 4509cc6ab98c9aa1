//! A circuit breaker: after too many failures in a row, a handler gets no work for a while.
//!
//! Source: Michael Nygard, "Release It!", 2nd edition, 2018, chapter 5.

use std::time::Duration;

use dormouse_kernel::Backoff;
use tokio::time::Instant;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Opens after this many failures in a row, of whatever sequences.
    pub(crate) failures: u32,
    /// How long it stays open; longer each time that it opens again without a success.
    pub(crate) open_for: Backoff,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Jobs are started.
    Closed,
    /// No job is started before this time.
    Open(Instant),
    /// One job is tried. Its outcome decides.
    HalfOpen,
}

/// A change of the state that operators want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    /// It has opened, for this time.
    Opened(Duration),
    /// It has closed.
    Closed,
}

#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    rules: Rules,
    state: State,
    /// Failures in a row.
    failures: u32,
    /// How often it has opened since it was closed.
    openings: u32,
}

impl CircuitBreaker {
    pub(crate) const fn new(rules: Rules) -> Self {
        Self { rules, state: State::Closed, failures: 0, openings: 0 }
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// Whether a job may be started while `running` jobs run.
    pub(crate) fn allows(&self, now: Instant, running: usize) -> bool {
        match self.state {
            State::Closed => true,
            State::Open(until) => now >= until && running == 0,
            State::HalfOpen => running == 0,
        }
    }

    /// A job was started.
    pub(crate) fn started(&mut self) {
        if matches!(self.state, State::Open(_)) {
            self.state = State::HalfOpen;
        }
    }

    /// A job succeeded.
    pub(crate) fn succeeded(&mut self) -> Option<Transition> {
        self.failures = 0;
        // A job that was started before the breaker opened says nothing about now.
        if self.state != State::HalfOpen {
            return None;
        }
        (self.state, self.openings) = (State::Closed, 0);
        Some(Transition::Closed)
    }

    /// A job failed.
    pub(crate) fn failed(&mut self, now: Instant) -> Option<Transition> {
        self.failures = self.failures.saturating_add(1);
        let opens = match self.state {
            State::Closed => self.failures >= self.rules.failures,
            State::HalfOpen => true,
            State::Open(_) => false,
        };
        if !opens {
            return None;
        }
        self.openings = self.openings.saturating_add(1);
        let pause = self.rules.open_for.pause_after(self.openings);
        self.state = State::Open(now + pause);
        Some(Transition::Opened(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> CircuitBreaker {
        let open_for = Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(60) };
        CircuitBreaker::new(Rules { failures: 3, open_for })
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let (mut breaker, now) = (breaker(), Instant::now());
        assert_eq!((breaker.failed(now), breaker.failed(now), breaker.succeeded()), (None, None, None));
        assert_eq!((breaker.failed(now), breaker.failed(now)), (None, None));
        assert_eq!(breaker.failed(now), Some(Transition::Opened(Duration::from_secs(10))));
        assert!(!breaker.allows(now + Duration::from_secs(9), 0) && breaker.allows(now + Duration::from_secs(10), 0));
    }

    #[test]
    fn one_job_is_tried_after_the_pause_and_its_outcome_decides() {
        let (mut breaker, now) = (breaker(), Instant::now());
        (0..3).for_each(|_| _ = breaker.failed(now));
        let later = now + Duration::from_secs(10);
        breaker.started();
        assert_eq!(breaker.state(), State::HalfOpen);
        assert!(!breaker.allows(later, 1));
        assert_eq!(breaker.failed(later), Some(Transition::Opened(Duration::from_secs(20))));
        breaker.started();
        assert_eq!(breaker.succeeded(), Some(Transition::Closed));
        assert!(breaker.allows(later, 7));
    }

    #[test]
    fn jobs_that_were_started_before_it_opened_do_not_close_it() {
        let (mut breaker, now) = (breaker(), Instant::now());
        (0..3).for_each(|_| _ = breaker.failed(now));
        assert_eq!((breaker.succeeded(), breaker.failed(now)), (None, None));
        assert!(matches!(breaker.state(), State::Open(_)));
    }
}

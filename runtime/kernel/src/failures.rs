//! How often an actor may fail before its supervisor gives up.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;

/// How many restarts are allowed in which time, and the pauses between them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Restarts within the window before the supervisor gives up.
    pub restarts: usize,
    /// The time within which failures are counted.
    pub window: Duration,
    /// The pauses from the second restart on.
    pub backoff: Backoff,
}

/// The recent failures of one actor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures(VecDeque<Instant>);

/// What the supervisor does after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestartDecision {
    /// Restart the actor, but not before this time.
    Restart {
        /// The earliest time of the restart.
        until: Instant,
    },
    /// Give up: the actor has failed too often.
    GiveUp {
        /// The last problem, and how often the actor has failed.
        reason: String,
    },
}

impl Failures {
    /// Records a failure. The first restart is immediate. The pause before each further one within the window is twice
    /// as long as the one before.
    pub fn record(&mut self, now: Instant, limits: &Limits, problem: &str) -> RestartDecision {
        self.0.retain(|failure| now.saturating_duration_since(*failure) <= limits.window);
        self.0.push_back(now);
        let count = self.0.len();
        if count > limits.restarts {
            let window = limits.window;
            return RestartDecision::GiveUp { reason: format!("{problem}; it failed {count} times within {window:?}") };
        }
        let pause = match count {
            1 => Duration::ZERO,
            _ => limits.backoff.pause_after(u32::try_from(count - 1).unwrap_or(u32::MAX)),
        };
        RestartDecision::Restart { until: now + pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            restarts: 3,
            window: Duration::from_secs(60),
            backoff: Backoff { first: Duration::from_millis(100), longest: Duration::from_millis(150) },
        }
    }

    #[test]
    fn pauses_grow_up_to_their_limit_and_then_the_supervisor_gives_up() {
        let (now, mut failures) = (Instant::now(), Failures::default());
        let pauses: Vec<_> = (0..4).map(|_| failures.record(now, &limits(), "it broke")).collect();
        let restart = |millis| RestartDecision::Restart { until: now + Duration::from_millis(millis) };
        assert_eq!(pauses[..3], [restart(0), restart(100), restart(150)]);
        assert!(matches!(&pauses[3], RestartDecision::GiveUp { reason } if reason.contains("4 times")));
    }

    #[test]
    fn failures_outside_the_window_do_not_count() {
        let (mut now, mut failures) = (Instant::now(), Failures::default());
        for _ in 0..10 {
            assert_eq!(failures.record(now, &limits(), "it broke"), RestartDecision::Restart { until: now });
            now += Duration::from_secs(61);
        }
    }
}

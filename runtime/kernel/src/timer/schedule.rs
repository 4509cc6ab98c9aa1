//! When a timer is due: once, or again and again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::cron::Cron;

/// When a timer is due, relative to the command that sets it: [`After`], [`At`], [`Every`] or [`Cron`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Once, so long after the command.
    After(Duration),
    /// Once, at this time. A time in the past is due at once.
    At(Timestamp),
    /// Again and again, for the first time one interval after the command.
    Every(Every),
    /// At the times of a cron expression.
    Cron(Cron),
}

/// Once, so long after the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After(pub Duration);

/// Once, at this time. A time in the past is due at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At(pub Timestamp);

/// Again and again with this interval, in whole milliseconds, for the first time one interval after the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    pub(crate) interval: Duration,
    pub(crate) catch_up: CatchUp,
}

/// What happens to the times at which a recurring timer was due while no server ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// The timer fires once for all of them.
    #[default]
    One,
    /// The timer fires once for each of them.
    All,
    /// The timer does not fire for them.
    None,
}

impl Every {
    /// With this interval. Missed times are caught up [once](CatchUp::One).
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self { interval, catch_up: CatchUp::One }
    }

    /// The same with another rule for missed times.
    #[must_use]
    pub const fn catch_up(mut self, catch_up: CatchUp) -> Self {
        self.catch_up = catch_up;
        self
    }
}

impl From<After> for Timing {
    fn from(After(delay): After) -> Self {
        Self::After(delay)
    }
}

impl From<At> for Timing {
    fn from(At(due): At) -> Self {
        Self::At(due)
    }
}

impl From<Every> for Timing {
    fn from(every: Every) -> Self {
        Self::Every(every)
    }
}

impl From<Cron> for Timing {
    fn from(cron: Cron) -> Self {
        Self::Cron(cron)
    }
}

/// When a timer is due, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Once.
    Once {
        /// At this time.
        due: Timestamp,
    },
    /// Again and again.
    Every {
        /// For the first time then.
        first: Timestamp,
        /// The time from one to the next.
        interval_ms: u64,
        /// The rule for missed times.
        catch_up: CatchUp,
    },
    /// At the times of a cron expression.
    Cron {
        /// For the first time then.
        first: Timestamp,
        /// The expression and its time zone.
        cron: Cron,
        /// The rule for missed times.
        catch_up: CatchUp,
    },
}

impl Schedule {
    /// The schedule of a timer that a command of the time `now` sets. `None` if it would never be due.
    #[must_use]
    pub fn new(timing: Timing, now: Timestamp) -> Option<Self> {
        Some(match timing {
            Timing::After(delay) => Self::Once { due: later(now, delay) },
            Timing::At(due) => Self::Once { due },
            Timing::Every(Every { interval, catch_up }) => {
                let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
                let interval = Duration::from_millis(interval_ms);
                (interval_ms > 0).then(|| Self::Every { first: later(now, interval), interval_ms, catch_up })?
            }
            Timing::Cron(cron) => {
                let (first, catch_up) = (cron.next_after(now)?, cron.catch_up);
                Self::Cron { first, cron: cron.catch_up(CatchUp::default()), catch_up }
            }
        })
    }

    /// The first time at which the timer is due.
    #[must_use]
    pub const fn first(&self) -> Timestamp {
        match self {
            Self::Once { due } => *due,
            Self::Every { first, .. } | Self::Cron { first, .. } => *first,
        }
    }

    /// Whether the timer is due more than once.
    #[must_use]
    pub const fn is_recurring(&self) -> bool {
        !matches!(self, Self::Once { .. })
    }

    /// The time at which the timer is due after it was due at `due`, whether or not that time has passed.
    #[must_use]
    pub fn next(&self, due: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once { .. } => None,
            Self::Every { interval_ms, .. } => due.checked_add(Duration::from_millis(*interval_ms)).ok(),
            Self::Cron { cron, .. } => cron.next_after(due),
        }
    }

    /// The rule for missed times.
    #[must_use]
    pub const fn catch_up(&self) -> CatchUp {
        match self {
            Self::Once { .. } => CatchUp::One,
            Self::Every { catch_up, .. } | Self::Cron { catch_up, .. } => *catch_up,
        }
    }

    /// The first time after `now` that follows `due` in the schedule: where a timer goes on that does not catch up.
    #[must_use]
    pub fn skip_to(&self, due: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once { .. } => None,
            Self::Every { interval_ms, .. } => {
                let interval = i128::from(*interval_ms) * 1_000_000;
                let passed = (now.as_nanosecond() - due.as_nanosecond()).max(0);
                let next = due.as_nanosecond() + (passed / interval.max(1) + 1) * interval;
                Timestamp::from_nanosecond(next).ok()
            }
            Self::Cron { cron, .. } => cron.next_after(now.max(due)),
        }
    }
}

/// The time so long after `now`. Beyond the end of time, it is the end of time.
fn later(now: Timestamp, delay: Duration) -> Timestamp {
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_timer_far_beyond_the_end_of_time_is_due_at_its_end() {
        let schedule = Schedule::new(After(Duration::MAX).into(), at(0)).unwrap();
        assert_eq!(schedule.first(), Timestamp::MAX);
    }

    #[test]
    fn an_interval_shorter_than_a_millisecond_is_never_due() {
        assert_eq!(Schedule::new(Every::new(Duration::from_micros(999)).into(), at(0)), None);
    }

    #[test]
    fn a_recurring_timer_keeps_its_rhythm_when_it_skips() {
        let schedule = Schedule::new(Every::new(Duration::from_secs(10)).into(), at(3)).unwrap();
        assert_eq!(schedule.first(), at(13));
        assert_eq!(schedule.next(at(13)), Some(at(23)));
        assert_eq!(schedule.skip_to(at(13), at(13)), Some(at(23)));
        assert_eq!(schedule.skip_to(at(13), at(42)), Some(at(43)));
        assert_eq!(schedule.skip_to(at(13), at(43)), Some(at(53)));
        // The clock was set back.
        assert_eq!(schedule.skip_to(at(13), at(0)), Some(at(23)));
    }
}

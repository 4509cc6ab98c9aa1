//! How far a projection is, and in which state.

use std::time::Duration;

use dormouse_kernel::{Mark, Position, Timestamp};

use crate::store::BuildNumber;

/// How far a projection is, and in which state.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The name of the projection.
    pub name: &'static str,
    /// The build that is served. `None` before it is known, or if there is none.
    pub build: Option<BuildNumber>,
    /// The version of the code that made this build.
    pub version: Option<u32>,
    /// The watermark: the effects of all events up to here are in the build that is served, or the events are parked.
    /// It decreases only if the view is reset or dropped, or if its storage is lost.
    pub position: Position,
    /// The mark of the journal's history at this position. `None` at the beginning, and before it is known.
    pub mark: Option<Mark>,
    /// The build that is served has only events after this one, because the view was reset to there. Zero: all events.
    pub begun_after: Position,
    /// How many aggregates have parked events.
    pub parked: usize,
    /// The state of the projection.
    pub state: State,
    /// The build that is made beside the one that is served and will replace it.
    pub rebuild: Option<Rebuild>,
}

/// How far a build is that is made beside the one that is served.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebuild {
    /// The number of the build.
    pub build: BuildNumber,
    /// The version of the code that makes it.
    pub version: u32,
    /// Its position when this process began to work on it.
    pub from: Position,
    /// The time of that.
    pub started_at: Timestamp,
    /// Its position now.
    pub position: Position,
    /// The recent rate. Zero before it is known.
    pub events_per_second: f64,
    /// The state of the build.
    pub state: State,
}

impl Rebuild {
    /// How long the build needs for all events up to `head` at its current rate. `None` before the rate is known.
    #[must_use]
    pub fn remaining(&self, head: Position) -> Option<Duration> {
        let events = head.0.saturating_sub(self.position.0);
        Duration::try_from_secs_f64(events as f64 / self.events_per_second).ok()
    }
}

/// The state of a projection or of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its position is not known yet.
    Starting,
    /// It follows the journal.
    Running,
    /// Another version of the code made the build that is served. It does not move. The new build beside it replaces it
    /// once that has caught up.
    Outdated,
    /// Something failed and is tried again. The text is the reason.
    Retrying(String),
    /// An operator paused it.
    Paused,
    /// It failed too often, and does not move until an operator resumes it. The text is the reason.
    Stopped(String),
    /// An operator dropped its view. It is built again when it is resumed, or when the process starts the next time.
    Dropped,
    /// It was stopped with the application.
    Ended,
}

impl State {
    /// Whether it does not move any more without an operator.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::Dropped | Self::Ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_follows_from_the_rate() {
        let mut rebuild = Rebuild {
            build: BuildNumber(1),
            version: 1,
            from: Position(0),
            started_at: Timestamp::UNIX_EPOCH,
            position: Position(500),
            events_per_second: 0.0,
            state: State::Running,
        };
        assert_eq!(rebuild.remaining(Position(1000)), None);
        rebuild.events_per_second = 250.0;
        assert_eq!(rebuild.remaining(Position(1000)), Some(Duration::from_secs(2)));
        assert_eq!(rebuild.remaining(Position(400)), Some(Duration::ZERO));
    }
}

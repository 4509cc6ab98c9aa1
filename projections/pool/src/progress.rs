//! How far a projection is, and how it fares.

use std::time::Duration;

use dormouse_kernel::{Mark, Position, Timestamp};

use crate::store::BuildNumber;

/// How far a projection is, and how it fares.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The name of the projection.
    pub name: &'static str,
    /// What is served. `None`: it is not known yet, or there is nothing.
    pub build: Option<BuildNumber>,
    /// The version of the code that made it.
    pub version: Option<u32>,
    /// Everything up to this event is in what is served, or parked. It goes back only if the view is reset or dropped, or
    /// its storage is lost.
    pub position: Position,
    /// The mark of the journal's history there. None at the beginning, and before it is known.
    pub mark: Option<Mark>,
    /// What is served was made of the events after this one only, because the view was reset to there. Zero: of all.
    pub begun_after: Position,
    /// Aggregates whose events are parked.
    pub parked: usize,
    /// How it fares.
    pub state: State,
    /// What is made beside it, and will be served in its place.
    pub rebuild: Option<Rebuild>,
}

/// How far a build is that is made beside the one that is served.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebuild {
    /// Which one.
    pub build: BuildNumber,
    /// The version of the code that makes it.
    pub version: u32,
    /// Where it was when this process took it up.
    pub from: Position,
    /// When that was.
    pub started_at: Timestamp,
    /// How far it is.
    pub position: Position,
    /// How fast it was lately. Zero before that is known.
    pub events_per_second: f64,
    /// How it fares.
    pub state: State,
}

impl Rebuild {
    /// How long it needs for all events up to `head`, if it stays as fast as it is. `None` before that is known.
    #[must_use]
    pub fn remaining(&self, head: Position) -> Option<Duration> {
        let events = head.0.saturating_sub(self.position.0);
        Duration::try_from_secs_f64(events as f64 / self.events_per_second).ok()
    }
}

/// How a projection fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Where it is has to be found out first.
    Starting,
    /// It follows the journal.
    Running,
    /// What is served was made by another version of its code, and stays as it is until the build that is made beside it
    /// is as far.
    Outdated,
    /// Something failed, and is tried again.
    Retrying(String),
    /// An operator wants it to stay where it is.
    Paused,
    /// It failed too often, and stays where it is until an operator resumes it.
    Stopped(String),
    /// An operator dropped its view. It is built anew when it is resumed, or the process starts again.
    Dropped,
    /// It was told to end, and has.
    Ended,
}

impl State {
    /// Whether it goes no further, unless an operator wants it to.
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

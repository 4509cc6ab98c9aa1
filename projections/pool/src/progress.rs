//! How far a projection is, and how it fares.

use dormouse_kernel::Position;

use crate::store::BuildNumber;

/// How far a projection is, and how it fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The name of the projection.
    pub name: &'static str,
    /// What is served. `None` before it is known.
    pub build: Option<BuildNumber>,
    /// Everything up to this event is in its view, or parked.
    pub position: Position,
    /// Aggregates whose events are parked.
    pub parked: usize,
    /// How it fares.
    pub state: State,
}

/// How a projection fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Where it is has to be found out first.
    Starting,
    /// It follows the journal.
    Running,
    /// Something failed, and is tried again.
    Retrying(String),
    /// It failed too often, and stays where it is.
    Stopped(String),
    /// It was told to end, and has.
    Ended,
}

impl State {
    /// Whether it goes no further.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::Ended)
    }
}

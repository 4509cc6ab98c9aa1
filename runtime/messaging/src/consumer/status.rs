//! What a consumer tells about itself.

use std::time::Duration;

use dormouse_kernel::Position;

/// What a consumer does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerStatus {
    /// Whether it runs.
    pub state: ConsumerState,
    /// The position up to which it has read the log.
    pub position: Position,
    /// Jobs in memory that wait for a worker or for an earlier job of their sequence.
    pub ready: usize,
    /// Jobs that run.
    pub running: usize,
    /// Its circuit breaker, if it has one.
    pub breaker: Option<BreakerState>,
}

/// Whether a consumer runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerState {
    /// It has not read its progress yet.
    Starting,
    /// It runs.
    Running,
    /// An operator or the configuration has paused it. It keeps its place.
    Paused,
    /// An operator or the configuration has disabled it. It passes over all events.
    Disabled,
    /// The store does not answer. It tries again.
    Retrying(String),
    /// It does not run any more, and needs a restart of the process.
    Failed(String),
    /// The process is stopping.
    Stopped,
}

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Jobs are started.
    Closed,
    /// No job is started for this long.
    Open(Duration),
    /// One job is tried. Its outcome decides.
    HalfOpen,
}

impl ConsumerState {
    /// The name of the state, for metrics and lists.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
            Self::Retrying(_) => "retrying",
            Self::Failed(_) => "failed",
            Self::Stopped => "stopped",
        }
    }
}

//! Everything an aggregate's actor can be told.

use dormouse_kernel::Aggregate;
use tokio::sync::{oneshot, watch};

use crate::admission::Permits;
use crate::aggregates::Stated;
use crate::delivery::Delivery;
use crate::error::QueryError;

/// The whole vocabulary of an aggregate's actor. Its mailbox has no bound of its own (ractor's have none): every
/// command and reading in it carries permits, and there is at most one `Sleep`.
pub(crate) enum Message<A: Aggregate> {
    /// Decide this.
    Command(Delivery<A>),
    /// Show the state.
    Read(Reading<A>),
    /// Nobody uses you: sleep. The sender goes when the aggregate sleeps.
    Sleep(SleepReason, watch::Sender<()>),
}

/// A request for the current state. The answer is durable.
pub(crate) struct Reading<A: Aggregate> {
    pub(crate) reply: oneshot::Sender<Result<Stated<A>, QueryError>>,
    pub(crate) permits: Permits,
}

/// Why an aggregate is put to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SleepReason {
    /// Nobody used it for long.
    Idle,
    /// There were more live aggregates than allowed.
    Limit,
    /// It has no events.
    Empty,
    /// The node stops.
    Drain,
}

impl SleepReason {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Limit => "limit",
            Self::Empty => "empty",
            Self::Drain => "drain",
        }
    }
}

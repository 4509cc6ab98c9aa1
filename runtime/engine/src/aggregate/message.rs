//! Everything an aggregate's actor can be told.

use dormouse_kernel::Aggregate;
use tokio::sync::{oneshot, watch};

use crate::admission::RequestPermits;
use crate::aggregates::VersionedState;
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
    Sleep(PassivationReason, watch::Sender<()>),
}

/// A request for the current state. The answer is durable.
pub(crate) struct Reading<A: Aggregate> {
    pub(crate) reply: oneshot::Sender<Result<VersionedState<A>, QueryError>>,
    pub(crate) permits: RequestPermits,
}

/// Why an aggregate is put to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PassivationReason {
    /// Nobody used it for long.
    Idle,
    /// There were more live aggregates than allowed.
    Limit,
    /// It has no events.
    Empty,
    /// The node stops.
    Drain,
}

impl PassivationReason {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Limit => "limit",
            Self::Empty => "empty",
            Self::Drain => "drain",
        }
    }
}

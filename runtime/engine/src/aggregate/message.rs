//! The messages of an aggregate's actor.

use dormouse_kernel::Aggregate;
use tokio::sync::{oneshot, watch};

use crate::admission::RequestPermits;
use crate::aggregates::VersionedState;
use crate::delivery::Delivery;
use crate::error::QueryError;
use crate::passivation::Reason;

/// The messages of an aggregate's actor. Ractor's mailboxes are unbounded. This one is bounded by permits: every
/// command and reading holds some, and there is at most one `Sleep`.
pub(crate) enum Message<A: Aggregate> {
    /// Decide this command.
    Command(Delivery<A>),
    /// Answer with the current state.
    Read(Reading<A>),
    /// Unload the aggregate: no request uses it, and none can reach it. The sender is dropped once the aggregate
    /// sleeps.
    Sleep(Reason, watch::Sender<()>),
}

/// A request for the current state. It is answered once that state is durable.
pub(crate) struct Reading<A: Aggregate> {
    pub(crate) reply: oneshot::Sender<Result<VersionedState<A>, QueryError>>,
    pub(crate) permits: RequestPermits,
}

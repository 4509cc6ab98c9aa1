//! A command on its way from the bus to its aggregate, and the way back.

use dormouse_kernel::{Aggregate, Fingerprint, Version};
use tokio::sync::oneshot;

use crate::admission::{NodePermit, RequestPermits};
use crate::command::CommandOptions;
use crate::error::CommandError;
use crate::outcome::Outcome;

/// A command that is not decided yet. It is passed in a box, because it is large and moves often.
pub(crate) struct UndecidedCommand<A: Aggregate> {
    pub(crate) command: A::Command,
    pub(crate) name: &'static str,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) options: CommandOptions,
    pub(crate) deadline: tokio::time::Instant,
    pub(crate) sent: tokio::time::Instant,
    /// The bus has looked the key up: no event up to this version has it.
    pub(crate) key_unused_until: Option<Version>,
}

/// What the bus gets back for a delivery.
pub(crate) enum Answer<A: Aggregate> {
    /// The command was carried out, or refused.
    Decided(Result<Outcome<A::Reply>, CommandError<A::Rejection>>),
    /// Only the journal knows whether the key was used before. It has everything up to `durable`. The command keeps its
    /// permit of the node meanwhile.
    LookUp { durable: Version, command: Box<UndecidedCommand<A>>, node: NodePermit },
    /// The actor ended before it decided the command.
    Returned(Box<UndecidedCommand<A>>, NodePermit),
}

/// A command in a mailbox. If it is dropped there, it returns to the bus, so that no command is lost with an actor.
pub(crate) struct Delivery<A: Aggregate>(Option<OpenedDelivery<A>>);

/// The parts of a delivery that its actor has taken out of the mailbox.
pub(crate) struct OpenedDelivery<A: Aggregate> {
    pub(crate) command: Box<UndecidedCommand<A>>,
    pub(crate) reply: oneshot::Sender<Answer<A>>,
    pub(crate) permits: RequestPermits,
}

impl<A: Aggregate> Delivery<A> {
    pub(crate) fn new(
        command: Box<UndecidedCommand<A>>,
        permits: RequestPermits,
    ) -> (Self, oneshot::Receiver<Answer<A>>) {
        let (reply, answer) = oneshot::channel();
        (Self(Some(OpenedDelivery { command, reply, permits })), answer)
    }

    /// Takes the command out for its decision.
    pub(crate) fn open(mut self) -> Option<OpenedDelivery<A>> {
        self.0.take()
    }
}

impl<A: Aggregate> Drop for Delivery<A> {
    fn drop(&mut self) {
        if let Some(OpenedDelivery { command, reply, permits }) = self.0.take() {
            let RequestPermits { aggregate, node } = permits;
            // First the permit of the aggregate: it must be free before the bus asks for the aggregate again.
            drop(aggregate);
            // A sender that hung up does not need the command back.
            let _hung_up = reply.send(Answer::Returned(command, node));
        }
    }
}

//! A command on its way to its aggregate, and the way back.

use dormouse_kernel::{Aggregate, Fingerprint, Version};
use tokio::sync::oneshot;

use crate::admission::{NodePermit, RequestPermits};
use crate::command::CommandOptions;
use crate::error::CommandError;
use crate::outcome::Outcome;

/// A command that nobody has decided yet. It travels in a box: it is large, and moves often.
pub(crate) struct UndecidedCommand<A: Aggregate> {
    pub(crate) command: A::Command,
    pub(crate) name: &'static str,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) options: CommandOptions,
    pub(crate) deadline: tokio::time::Instant,
    pub(crate) sent: tokio::time::Instant,
    /// The journal was asked: the key was not used up to this version.
    pub(crate) key_unused_until: Option<Version>,
}

/// What became of a command.
pub(crate) enum Answer<A: Aggregate> {
    /// It was carried out, or refused.
    Decided(Result<Outcome<A::Reply>, CommandError<A::Rejection>>),
    /// Only the journal knows whether its key was used before. Everything up to `durable` can be found there. The
    /// command keeps its place on the node meanwhile.
    LookUp { durable: Version, command: Box<UndecidedCommand<A>>, node: NodePermit },
    /// Its actor ended before it was decided.
    Returned(Box<UndecidedCommand<A>>, NodePermit),
}

/// A command in a mailbox. If it is dropped there, it goes back to its sender: no command is lost with an actor.
pub(crate) struct Delivery<A: Aggregate>(Option<OpenedDelivery<A>>);

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

    /// Takes the command out, to decide it.
    pub(crate) fn open(mut self) -> Option<OpenedDelivery<A>> {
        self.0.take()
    }
}

impl<A: Aggregate> Drop for Delivery<A> {
    fn drop(&mut self) {
        if let Some(OpenedDelivery { command, reply, permits }) = self.0.take() {
            let RequestPermits { aggregate, node } = permits;
            // The place with the aggregate first: it must be free before the sender comes again.
            drop(aggregate);
            // A sender that hung up does not want it back.
            let _hung_up = reply.send(Answer::Returned(command, node));
        }
    }
}

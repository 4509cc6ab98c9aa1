//! Whether a command may repeat an earlier one, as far as its aggregate's recent keys say.

use dormouse_journal::AppendSession;
use dormouse_kernel::{Aggregate, Version};
use tokio::sync::oneshot;

use super::LoadedAggregate;
use super::actor::answer;
use crate::admission::RequestPermits;
use crate::delivery::{Answer, UndecidedCommand};
use crate::error::CommandError;
use crate::keys::KeyUsage;

/// A command whose key was used before, or may have been.
pub(super) enum PossibleRepeat<A: Aggregate> {
    /// The command with this key is not durable yet.
    InFlight,
    /// Only the journal knows the key. It has everything up to `durable`.
    LookUp { durable: Version, command: Box<UndecidedCommand<A>> },
}

/// Returns the command if its key allows a decision.
pub(super) fn check_key<A: Aggregate>(
    loaded: &LoadedAggregate<A>,
    session: &AppendSession,
    command: Box<UndecidedCommand<A>>,
) -> Result<Box<UndecidedCommand<A>>, PossibleRepeat<A>> {
    let Some(key) = &command.options.key else { return Ok(command) };
    let looked_up = command.key_unused_until;
    match loaded.keys.find(key) {
        KeyUsage::Unused => Ok(command),
        KeyUsage::UnusedAfter(_) if command.options.key_is_new => Ok(command),
        // The bus has looked the key up in the journal, and the recent keys cover what came after that.
        KeyUsage::UnusedAfter(version) if looked_up.is_some_and(|looked_up| looked_up >= version) => Ok(command),
        // The hash was that of another key: the bus has looked this one up, and the journal does not have it.
        KeyUsage::ProbablyUsed(version) if looked_up.is_some_and(|looked_up| looked_up >= version) => Ok(command),
        KeyUsage::ProbablyUsed(first) if first > session.durable() => Err(PossibleRepeat::InFlight),
        KeyUsage::ProbablyUsed(_) | KeyUsage::UnusedAfter(_) => {
            Err(PossibleRepeat::LookUp { durable: session.durable(), command })
        }
    }
}

impl<A: Aggregate> PossibleRepeat<A> {
    pub(super) fn answer(self, reply: oneshot::Sender<Answer<A>>, permits: RequestPermits) {
        match self {
            Self::InFlight => answer(reply, permits, Answer::Decided(Err(CommandError::KeyInFlight))),
            Self::LookUp { durable, command } => {
                let RequestPermits { aggregate, node } = permits;
                drop(aggregate);
                // A sender that hung up does not need the command back.
                let _hung_up = reply.send(Answer::LookUp { durable, command, node });
            }
        }
    }
}

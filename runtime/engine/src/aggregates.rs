//! The command bus: it passes commands and reads to the aggregates of one type.

mod past;
mod recorded_outcomes;
mod sealed;

use std::sync::Arc;
use std::time::Duration;

use dormouse_kernel::{
    Aggregate, AggregateId, CodecError, EventSelection, Fingerprint, Mark, Timestamp, Version, encode, variant_name,
};
use metrics::counter;
use ractor::ActorRef;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::admission::{AggregatePermit, NodePermit, PermitRefused, RequestPermits};
use crate::aggregate::{Activation, Message, Reading};
use crate::command::CommandOptions;
use crate::delivery::{Answer, Delivery, UndecidedCommand};
use crate::directory::{Admission, remaining};
use crate::error::{CommandError, QueryError};
use crate::metric;
use crate::outcome::{CommandIdentity, Outcome, Reply};
use crate::registered_type::RegisteredType;

/// A request waits for an aggregate that restarts within this time. If the pause is longer, the answer is an error with
/// the remaining time.
const RESTART_WAIT_MAX: Duration = Duration::from_millis(250);

/// The aggregates of one type. Cheap to clone.
pub struct Aggregates<A: Aggregate> {
    registered: Arc<RegisteredType<A>>,
}

impl<A: Aggregate> Clone for Aggregates<A> {
    fn clone(&self) -> Self {
        Self { registered: Arc::clone(&self.registered) }
    }
}

impl<A: Aggregate> std::fmt::Debug for Aggregates<A> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Aggregates").field(&A::TYPE).finish()
    }
}

/// A state and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedState<A> {
    /// The state.
    pub state: A,
    /// The version of its last event.
    pub version: Version,
    /// The mark of the chain at that version.
    pub mark: Mark,
    /// When that event was recorded.
    pub recorded_at: Timestamp,
}

impl<A: Aggregate> Aggregates<A> {
    pub(crate) fn new(registered: Arc<RegisteredType<A>>) -> Self {
        Self { registered }
    }

    /// Carries out a command, and returns once its events are durable.
    ///
    /// If the future is dropped before the command is decided, the command is cancelled. After the decision, the
    /// command takes effect although its sender no longer waits.
    ///
    /// # Errors
    /// Each error says whether a retry can help. All but [`CommandError::OutcomeUnknown`] and
    /// [`CommandError::ReplyUnreadable`] mean that the command had no effect.
    pub async fn execute(
        &self,
        id: AggregateId,
        command: A::Command,
        options: CommandOptions,
    ) -> Result<Outcome<A::Reply>, CommandError<A::Rejection>> {
        let outcome = self.execute_as_given(id, command, options).await?;
        outcome.decoded().map_err(|error| CommandError::ReplyUnreadable(error.to_string()))
    }

    /// The same as [`execute`](Self::execute), with the reply to a repeated command as it was stored, for senders that
    /// do not know the current type of the reply.
    ///
    /// # Errors
    /// As above, without [`CommandError::ReplyUnreadable`].
    pub async fn execute_as_given(
        &self,
        id: AggregateId,
        command: A::Command,
        options: CommandOptions,
    ) -> Result<Outcome<Reply<A::Reply>>, CommandError<A::Rejection>> {
        let sent = Instant::now();
        let name = variant_name(&command).unwrap_or_default();
        let metrics = self.registered.commands.iter().find(|metrics| metrics.name == name);
        let fingerprint = match options.key {
            Some(_) => Some(fingerprint(&command).map_err(|error| CommandError::Unstorable(error.to_string()))?),
            None => None,
        };
        let command = Box::new(UndecidedCommand {
            command,
            name,
            fingerprint,
            deadline: options.deadline.unwrap_or(sent + self.registered.node.config.commands.timeout),
            options,
            key_unused_until: None,
            sent,
        });
        let result = self.route(&id, command).await;
        if let Some(metrics) = metrics {
            metrics.record(status(&result), sent.elapsed(), self.registered.node.config.commands.slow_after);
        }
        result
    }

    async fn route(
        &self,
        id: &AggregateId,
        mut command: Box<UndecidedCommand<A>>,
    ) -> Result<Outcome<Reply<A::Reply>>, CommandError<A::Rejection>> {
        let deadline = command.deadline;
        let mut node = self.node_permit().map_err(CommandError::from)?;
        let mut now = command.sent;
        loop {
            if now >= deadline {
                return Err(CommandError::Expired);
            }
            let (actor, aggregate) = self.admit(id, now, deadline).await.map_err(CommandError::from)?;
            let (delivery, answer) = Delivery::new(command, RequestPermits { aggregate, node });
            // If the actor has ended, the delivery is dropped and answers with the command.
            send(actor, Message::Command(delivery));
            let Ok(Ok(answered)) = timeout_at(deadline, answer).await else { return Err(CommandError::OutcomeUnknown) };
            match answered {
                Answer::Decided(decided) => return decided?.with_reply(|reply| Ok(Reply::New(reply))),
                Answer::LookUp { durable, command: undecided, node: permit } => {
                    (command, node) = (undecided, permit);
                    let key = command.options.key.as_ref();
                    let (typed, content) = (command.fingerprint, command.options.content);
                    let sent = CommandIdentity { name: command.name.into(), typed, content };
                    let found = timeout_at(deadline, self.look_up(id, key, &sent)).await;
                    if let Some(outcome) = found.map_err(|_| CommandError::Expired)?? {
                        return Ok(outcome);
                    }
                    command.key_unused_until = Some(durable);
                }
                Answer::Returned(undecided, permit) => {
                    (command, node) = (undecided, permit);
                    // If the engine stops, the actor ended for that reason and must not be started again.
                    if self.registered.node.is_stopping() {
                        return Err(CommandError::Draining);
                    }
                    // The actor has ended, but its activation may not have reported that to the directory yet.
                    tokio::task::yield_now().await;
                }
            }
            now = Instant::now();
        }
    }

    /// Selects the stored events that have these names, or that upcasters turn into such events. A former name of an
    /// event selects it, too.
    #[must_use]
    pub fn select_events(&self, names: &[&str]) -> EventSelection {
        self.registered.codec.select(names)
    }

    /// The current state. It contains everything that was answered before this call, and all of it is durable.
    ///
    /// # Errors
    /// [`QueryError::NotFound`] if the aggregate has no events.
    pub async fn state(&self, id: &AggregateId) -> Result<VersionedState<A>, QueryError> {
        let deadline = Instant::now() + self.registered.node.config.commands.timeout;
        loop {
            let node = self.node_permit()?;
            let (actor, aggregate) = self.admit(id, Instant::now(), deadline).await?;
            let (reply, answer) = oneshot::channel();
            let reading = Reading { reply, permits: RequestPermits { aggregate, node } };
            // If the actor has ended, `reply` is dropped, and the loop asks the directory again.
            send(actor, Message::Read(reading));
            match timeout_at(deadline, answer).await {
                Err(_) => return Err(QueryError::Expired),
                Ok(Err(_)) if Instant::now() >= deadline => return Err(QueryError::Expired),
                Ok(Err(_)) => tokio::task::yield_now().await,
                Ok(Ok(Err(error))) => return Err(error),
                Ok(Ok(Ok(current))) if current.version == Version::ZERO => return Err(QueryError::NotFound),
                Ok(Ok(Ok(current))) => return Ok(current),
            }
        }
    }

    fn node_permit(&self) -> Result<NodePermit, QueryError> {
        self.registered.node.permits.take().map_err(|refused| match refused {
            PermitRefused::Closed => QueryError::Draining,
            PermitRefused::Full => {
                counter!(metric::SHED, "scope" => "node").increment(1);
                QueryError::NodeOverloaded
            }
        })
    }

    /// Returns the aggregate's actor and a permit. Activates the aggregate if it is not live. Waits while it falls
    /// asleep, or if it restarts soon.
    async fn admit(
        &self,
        id: &AggregateId,
        now: Instant,
        deadline: Instant,
    ) -> Result<(ActorRef<Message<A>>, AggregatePermit), QueryError> {
        let node = &self.registered.node;
        let limit = u32::try_from(node.config.admission.per_aggregate.get()).unwrap_or(u32::MAX);
        loop {
            let start = |previous| Activation::start(&self.registered, id, previous);
            match self.registered.directory(id).admit(id, node.milliseconds(now), limit, start) {
                Admission::Live(actor, admitted) => return Ok((actor, admitted)),
                Admission::Full => {
                    counter!(metric::SHED, "scope" => "aggregate").increment(1);
                    return Err(QueryError::AggregateOverloaded);
                }
                Admission::FallingAsleep(mut asleep) => {
                    // The sender is dropped when the aggregate sleeps, so an error is the usual result.
                    let waited = timeout_at(deadline, asleep.changed()).await;
                    waited.map_err(|_| QueryError::Expired)?.unwrap_or_default();
                    tokio::task::yield_now().await;
                }
                Admission::Restarting(until) if remaining(until) <= RESTART_WAIT_MAX && until < deadline => {
                    tokio::time::sleep_until(until).await;
                }
                Admission::Restarting(until) => {
                    return Err(QueryError::Restarting { retry_after: remaining(until) });
                }
                Admission::Quarantined(reason) => return Err(QueryError::Quarantined { reason }),
            }
        }
    }
}

/// Sends a message, and drops the reference to the actor. If the actor has ended, it also drops the message, because
/// the caller waits for the answer as long as the message exists. The reference is dropped because a message that
/// enters a mailbox while the mailbox is being dropped stays in tokio's channel until the last reference to the actor
/// is dropped.
fn send<A: Aggregate>(actor: ActorRef<Message<A>>, message: Message<A>) {
    drop(actor.send_message(message));
}

/// The fingerprint of a typed command, which distinguishes a repeated command from another one under the same key.
fn fingerprint<C: serde::Serialize>(command: &C) -> Result<Fingerprint, CodecError> {
    Ok(Fingerprint::of(&encode(command)?))
}

fn status<T, R>(result: &Result<T, CommandError<R>>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(CommandError::Rejected(_) | CommandError::NotOwner) => "rejected",
        Err(
            CommandError::VersionMismatch { .. }
            | CommandError::KeyReused
            | CommandError::KeyInFlight
            | CommandError::TimerReplaced,
        ) => "conflict",
        Err(CommandError::AggregateOverloaded | CommandError::NodeOverloaded | CommandError::Draining) => "shed",
        Err(CommandError::Expired | CommandError::OutcomeUnknown) => "timeout",
        Err(_) => "error",
    }
}

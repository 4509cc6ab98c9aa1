//! The command bus: how everybody else reaches the aggregates of one type.

use std::sync::Arc;
use std::time::Duration;

use dormouse_journal::{AsOf, Page, PageLimit, ReadError};
use dormouse_kernel::{
    Aggregate, AggregateId, CodecError, CommandKey, EventSelection, Fingerprint, Mark, NewEvent, RecordedEvent,
    Timestamp, Version, encode, variant_name,
};
use metrics::counter;
use ractor::ActorRef;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::admission::{AggregatePermit, NodePermit, PermitRefused, RequestPermits};
use crate::aggregate::{Activation, LoadError, Message, Reading, SnapshotVerification, load_as_of, verify};
use crate::command::CommandOptions;
use crate::delivery::{Answer, Delivery, UndecidedCommand};
use crate::directory::{Admission, remaining};
use crate::error::{CommandError, QueryError};
use crate::metric;
use crate::outcome::{CommandIdentity, Outcome, Reply};
use crate::registered_type::RegisteredType;

/// Somebody who meets an aggregate in a short restart pause waits for it; in a longer one they are told to come again.
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

/// A state and the version it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedState<A> {
    /// The state.
    pub state: A,
    /// The version of the last event in it.
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

    /// Carries out a command, and answers once what it did is durable.
    ///
    /// Dropping the future before the command is decided cancels it; afterwards it goes on without its sender.
    ///
    /// # Errors
    /// Each says whether a retry can help. All but [`CommandError::OutcomeUnknown`] and [`CommandError::ReplyUnreadable`] mean
    /// that nothing happened.
    pub async fn execute(
        &self,
        id: AggregateId,
        command: A::Command,
        options: CommandOptions,
    ) -> Result<Outcome<A::Reply>, CommandError<A::Rejection>> {
        let outcome = self.execute_as_given(id, command, options).await?;
        outcome.decoded().map_err(|error| CommandError::ReplyUnreadable(error.to_string()))
    }

    /// The same, with the reply to a repeated command as it was stored, for senders to whom today's type means nothing.
    ///
    /// # Errors
    /// The same, but no reply is unreadable.
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
            // If the actor is gone, the delivery comes back through its answer.
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
                    // Actors that end because the engine does must not be started again.
                    if self.registered.node.is_stopping() {
                        return Err(CommandError::Draining);
                    }
                    // Its actor has ended, but the directory may not know yet.
                    tokio::task::yield_now().await;
                }
            }
            now = Instant::now();
        }
    }

    /// What came of an earlier command with the same key, if there was one.
    async fn look_up(
        &self,
        id: &AggregateId,
        // Not the whole command: to be shared across an await it would have to be `Sync`.
        key: Option<&CommandKey>,
        sent: &CommandIdentity,
    ) -> Result<Option<Outcome<Reply<A::Reply>>>, CommandError<A::Rejection>> {
        let Some(key) = key else { return Ok(None) };
        let found = self.recorded_outcome(id, key).await;
        let found = found.map_err(|error| CommandError::Unavailable(error.to_string()))?;
        match found {
            Some((_, recorded)) if !recorded.is_same::<A::Command>(sent) => Err(CommandError::KeyReused),
            found => Ok(found.map(|(outcome, _)| outcome)),
        }
    }

    /// The stored events that are today's with these names, or become them. A former name stands for today's.
    #[must_use]
    pub fn select_events(&self, names: &[&str]) -> EventSelection {
        self.registered.codec.select(names)
    }

    /// The outcome of the command with this key, however long ago, if it made events.
    ///
    /// # Errors
    /// If the journal does not answer, or what it has cannot be read.
    pub async fn outcome(&self, id: &AggregateId, key: &CommandKey) -> Result<Option<Outcome<A::Reply>>, QueryError> {
        let outcome = self.outcome_as_given(id, key).await?.map(Outcome::decoded).transpose();
        outcome.map_err(|error| QueryError::Unreadable(error.to_string()))
    }

    /// The same, with the reply as it was stored.
    ///
    /// # Errors
    /// The same, but no reply is unreadable.
    pub async fn outcome_as_given(
        &self,
        id: &AggregateId,
        key: &CommandKey,
    ) -> Result<Option<Outcome<Reply<A::Reply>>>, QueryError> {
        let _permit = self.node_permit()?;
        Ok(self.recorded_outcome(id, key).await?.map(|(outcome, _)| outcome))
    }

    async fn recorded_outcome(
        &self,
        id: &AggregateId,
        key: &CommandKey,
    ) -> Result<Option<(Outcome<Reply<A::Reply>>, CommandIdentity)>, QueryError> {
        let journal = &self.registered.node.journal;
        let aggregate = self.registered.aggregate(id);
        let Some(first) = journal.find_command(&aggregate, key).await? else { return Ok(None) };
        let before = Version(first.0.saturating_sub(1));
        let mut events = journal.history(&aggregate, before, PageLimit::ONE).await?.events;
        let unreadable = |error: CodecError| QueryError::Unreadable(error.to_string());
        let Some(head) = events.first() else { return Ok(None) };
        let count = head.metadata().map_err(unreadable)?.command.map_or(1, |command| command.events as usize);
        while let Some(last) = events.last()
            && events.len() < count
        {
            let page = journal.history(&aggregate, last.version, PageLimit::events(count - events.len())).await?;
            if page.is_empty() {
                let there = events.len();
                return Err(QueryError::Unreadable(format!(
                    "of the {count} events of the command at {first}, {there} are there"
                )));
            }
            // Of those behind the first, only the names are told.
            events.extend(page.into_iter().map(without_content));
        }
        Outcome::recorded(&events).map_err(unreadable)
    }

    /// The current state: everything answered before this call is in it, and everything in it is durable.
    ///
    /// # Errors
    /// [`QueryError::NotFound`] if it has no events.
    pub async fn state(&self, id: &AggregateId) -> Result<VersionedState<A>, QueryError> {
        let deadline = Instant::now() + self.registered.node.config.commands.timeout;
        loop {
            let node = self.node_permit()?;
            let (actor, aggregate) = self.admit(id, Instant::now(), deadline).await?;
            let (reply, answer) = oneshot::channel();
            let reading = Reading { reply, permits: RequestPermits { aggregate, node } };
            // If the actor is gone, so is the reply, and we come again.
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

    /// A past state, from the journal.
    ///
    /// # Errors
    /// [`QueryError::NotFound`] if there was no event yet, [`QueryError::NoSuchVersion`] if there is none yet.
    pub async fn state_as_of(&self, id: &AggregateId, as_of: AsOf) -> Result<VersionedState<A>, QueryError> {
        let _permit = self.node_permit()?;
        let (registered, id) = (Arc::clone(&self.registered), id.clone());
        let loaded = self.replaying(async move { load_as_of(&registered, &id, as_of).await }).await?;
        let stated = loaded.into_versioned_state();
        match as_of {
            _ if stated.version == Version::ZERO => Err(QueryError::NotFound),
            AsOf::Version(version) if stated.version < version => {
                Err(QueryError::NoSuchVersion { actual: stated.version })
            }
            _ => Ok(stated),
        }
    }

    /// Compares the snapshots of an aggregate with what its events lead to.
    ///
    /// # Errors
    /// If the journal does not answer, or the events cannot be read.
    pub async fn verify_snapshots(&self, id: &AggregateId) -> Result<SnapshotVerification, QueryError> {
        let _permit = self.node_permit()?;
        let (registered, id) = (Arc::clone(&self.registered), id.clone());
        self.replaying(async move { verify(&registered, &id).await }).await
    }

    /// Does what replays a history, few at a time, on the threads of aggregates, because the domain's code does it; given up with
    /// the caller.
    async fn replaying<T: Send + 'static>(
        &self,
        replay: impl Future<Output = Result<T, LoadError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let _place = self.registered.node.replays.acquire().await.map_err(|_| QueryError::Draining)?;
        let mut replaying = JoinSet::new();
        replaying.spawn_on(replay, &self.registered.node.threads);
        match replaying.join_next().await {
            Some(Ok(outcome)) => Ok(outcome?),
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(Err(_)) | None => Err(QueryError::Draining),
        }
    }

    /// A page of the history: events after a version, as they were stored, within `limit`.
    ///
    /// # Errors
    /// If the journal does not answer, or the events are damaged.
    pub async fn history(&self, id: &AggregateId, after: Version, limit: PageLimit) -> Result<Page, QueryError> {
        let _permit = self.node_permit()?;
        Ok(self.registered.node.journal.history(&self.registered.aggregate(id), after, limit).await?)
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

    /// The aggregate's actor and a place with it, waking it if it sleeps.
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
                    // It ends with the sender, so an error is what is waited for.
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

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(reason) => Self::Unavailable(reason),
            ReadError::Damaged { .. } => Self::Unreadable(error.to_string()),
        }
    }
}

/// What can keep a command from its aggregate is what can keep a reader from it.
impl<R> From<QueryError> for CommandError<R> {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::AggregateOverloaded => Self::AggregateOverloaded,
            QueryError::NodeOverloaded => Self::NodeOverloaded,
            QueryError::Draining => Self::Draining,
            QueryError::Expired => Self::Expired,
            QueryError::Unavailable(reason) => Self::Unavailable(reason),
            QueryError::Restarting { retry_after } => Self::Restarting { retry_after },
            QueryError::Quarantined { reason } | QueryError::Unreadable(reason) => Self::Quarantined { reason },
            QueryError::NotFound | QueryError::NoSuchVersion { .. } => Self::Unavailable(error.to_string()),
        }
    }
}

/// Sends a message, and holds on to nothing: neither to the message, if it is returned (its sender would wait for
/// itself), nor to the actor. A message that was on its way into the mailbox when that was dropped stays in tokio's
/// channel, and is dropped only with the last reference to it.
fn send<A: Aggregate>(actor: ActorRef<Message<A>>, message: Message<A>) {
    drop(actor.send_message(message));
}

fn without_content(event: RecordedEvent) -> RecordedEvent {
    RecordedEvent { event: NewEvent { payload: Vec::new(), metadata: Vec::new(), ..event.event }, ..event }
}

/// What tells a repeated command from another one under the same key.
fn fingerprint<C: serde::Serialize>(command: &C) -> Result<Fingerprint, CodecError> {
    Ok(Fingerprint::of(&encode(command)?))
}

fn status<T, R>(result: &Result<T, CommandError<R>>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(CommandError::Rejected(_)) => "rejected",
        Err(CommandError::VersionMismatch { .. } | CommandError::KeyReused | CommandError::KeyInFlight) => "conflict",
        Err(CommandError::AggregateOverloaded | CommandError::NodeOverloaded | CommandError::Draining) => "shed",
        Err(CommandError::Expired | CommandError::OutcomeUnknown) => "timeout",
        Err(_) => "error",
    }
}

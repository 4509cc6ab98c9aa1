//! The actor of an aggregate. It handles one message at a time, and never waits for a commit.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use dormouse_journal::{AppendError, AppendSession, Committed, Snapshot, Submission};
use dormouse_kernel::failpoint::{self, Step};
use dormouse_kernel::{Aggregate, AggregateId, AggregateRef, Version};
use metrics::counter;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::warn;

use super::decision::Decision;
use super::key_check::check_key;
use super::loading::{LoadError, load};
use super::message::{Message, Reading};
use super::{Activation, LoadedAggregate};
use crate::admission::RequestPermits;
use crate::delivery::{Answer, Delivery, OpenedDelivery, UndecidedCommand};
use crate::error::{CommandError, QueryError};
use crate::metric;
use crate::outcome::Outcome;
use crate::passivation::Reason;
use crate::registered_type::RegisteredType;
use crate::sealing::SealFailure;
use crate::snapshotting::SnapshotTrigger;

pub(crate) struct AggregateActor<A>(PhantomData<fn() -> A>);

impl<A> AggregateActor<A> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

/// The state of the actor.
pub(crate) struct ActorState<A: Aggregate> {
    activation: Activation<A>,
    /// The aggregate, or why it could not be loaded.
    loaded: Result<LoadedAggregate<A>, LoadError>,
    /// The appends since the aggregate was loaded, and the version up to which they are durable.
    session: Arc<AppendSession>,
}

impl<A: Aggregate> Actor for AggregateActor<A> {
    type Msg = Message<A>;
    type State = ActorState<A>;
    type Arguments = Activation<A>;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message<A>>,
        activation: Activation<A>,
    ) -> Result<ActorState<A>, ActorProcessingErr> {
        if activation.previous.last_failed {
            // The activation that failed may have submitted appends that are not committed yet.
            activation.registered.node.journal.flush().await;
        }
        let loaded = load(&activation.registered, &activation.id).await;
        let mut state = ActorState { activation, loaded, session: Arc::new(AppendSession::new(Version::ZERO)) };
        state.begin_session();
        // An error here would count as a failure of the aggregate. Instead, each message is answered with the error in
        // `loaded`.
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message<A>>,
        message: Message<A>,
        state: &mut ActorState<A>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Command(delivery) => state.command(delivery).await?,
            Message::Read(reading) => state.read(reading).await,
            Message::Sleep(reason, done) => {
                state.sleep(reason, done).await;
                myself.stop(None);
            }
        }
        if let Err(LoadError::Unreadable(problem)) = &state.loaded {
            state.activation.quarantine(problem.clone());
            myself.stop(None);
        }
        Ok(())
    }
}

impl<A: Aggregate> ActorState<A> {
    fn begin_session(&mut self) {
        if let Ok(loaded) = &self.loaded {
            self.session = Arc::new(AppendSession::new(loaded.version));
            let is_empty = loaded.version == Version::ZERO;
            self.activation.state.set_empty(is_empty);
            if is_empty {
                self.activation.registered.node.idle_scan.invalidate();
            }
        }
    }

    /// Returns the loaded aggregate. If an append has failed, no later decision of its session takes effect, so the
    /// aggregate is loaded again.
    async fn ensure_loaded(&mut self) -> Result<&mut LoadedAggregate<A>, LoadError> {
        let forgets = self.activation.registered.forgets();
        let is_outdated = self.loaded.as_ref().is_ok_and(|loaded| loaded.forgets != forgets);
        let must_load =
            self.session.is_broken() || is_outdated || matches!(self.loaded, Err(LoadError::Unavailable(_)));
        if must_load && let Some(AppendError::Unavailable(reason)) = self.activation.registered.node.journal.outage() {
            // It is not known before the end of the outage which events are durable. An attempt to load would delay all
            // requests.
            return Err(LoadError::Unavailable(reason));
        }
        if self.loaded.is_ok() && must_load {
            if !is_outdated {
                let aggregate = self.activation.registered.aggregate(&self.activation.id);
                warn!(%aggregate, "an append failed, loading the aggregate again");
            }
            self.activation.registered.node.journal.flush_session(&self.session).await;
            self.loaded = Err(LoadError::Unavailable("the aggregate is being loaded again".to_owned()));
        }
        if matches!(self.loaded, Err(LoadError::Unavailable(_))) {
            self.loaded = load(&self.activation.registered, &self.activation.id).await;
            self.begin_session();
        }
        self.loaded.as_mut().map_err(|error| error.clone())
    }

    async fn command(&mut self, delivery: Delivery<A>) -> Result<(), ActorProcessingErr> {
        let Some(OpenedDelivery { command, reply, permits }) = delivery.open() else { return Ok(()) };
        if reply.is_closed() {
            counter!(metric::ABANDONED).increment(1);
            return Ok(());
        }
        let now = Instant::now();
        if command.deadline <= now {
            answer(reply, permits, Answer::Decided(Err(CommandError::Expired)));
            return Ok(());
        }
        self.activation.registered.mailbox_wait.record(now.saturating_duration_since(command.sent));
        if let Err(error) = self.ensure_loaded().await {
            answer(reply, permits, Answer::Decided(Err(error.into())));
            return Ok(());
        }
        let Ok(loaded) = &mut self.loaded else { return Ok(()) };
        let only_own = command.options.only_own;
        // Before the key: the outcome of an earlier command is the owner's, too.
        if only_own && loaded.version > Version::ZERO && !loaded.is_of(&self.activation.id, &command.options) {
            self.answer_when_durable(reply, permits, move || Err(CommandError::NotOwner)).await;
            return Ok(());
        }
        let hides_refusals = only_own && loaded.version == Version::ZERO;
        let command = match check_key(loaded, &self.session, command) {
            Ok(command) => command,
            Err(possible_repeat) => {
                possible_repeat.answer(reply, permits);
                return Ok(());
            }
        };
        let expected = command.options.expected;
        let dry_run = command.options.dry_run;
        let decided = if !expected.matches(loaded.version, loaded.chain) {
            Ok(Err(CommandError::VersionMismatch { expected, actual: loaded.version }))
        } else if command.options.timer.as_ref().is_some_and(|timer| !loaded.timers.has(timer)) {
            Ok(Err(CommandError::TimerReplaced))
        } else {
            decide_unwinding(&self.activation, loaded, command)
        };
        match decided {
            Ok(Ok(decision)) if dry_run || decision.append.is_none() => {
                let unplaced = self.without_events(decision);
                let head = (!dry_run).then(|| self.activation.registered.node.journal.head());
                // The head is read when the answer is sent, so it covers everything that the decision is based on.
                let outcome = move || Outcome { position: head.map(|head| *head.borrow()), ..unplaced };
                self.answer_when_durable(reply, permits, move || Ok(outcome())).await;
            }
            Ok(Ok(decision)) => self.commit(decision, reply, permits).await?,
            // The refusal of an aggregate that does not exist must look like that of another one's.
            Ok(Err(_)) if hides_refusals => {
                self.answer_when_durable(reply, permits, move || Err(CommandError::NotOwner)).await;
            }
            Ok(Err(refused)) => self.answer_when_durable(reply, permits, move || Err(refused)).await,
            Err(panic) => {
                answer(reply, permits, Answer::Decided(Err(CommandError::Panicked)));
                return Err(panicked(&self.activation, &*panic).into());
            }
        }
        Ok(())
    }

    /// The outcome of a command that changes nothing. Its position is not known yet.
    fn without_events(&self, decision: Decision<A>) -> Outcome<A::Reply> {
        let loaded = self.loaded.as_ref().ok();
        let version = loaded.map_or(Version::ZERO, |loaded| loaded.version);
        let mark = loaded.filter(|_| decision.append.is_none()).map(|loaded| loaded.chain.mark());
        let events = decision.summaries();
        Outcome {
            id: self.activation.id.clone(),
            version: version.plus(events.len() as u64),
            mark,
            position: None,
            events,
            reply: decision.reply,
            repeated: false,
        }
    }

    /// Applies the decision at once, and lets the writer answer once the decision is durable.
    async fn commit(
        &mut self,
        decision: Decision<A>,
        reply: oneshot::Sender<Answer<A>>,
        permits: RequestPermits,
    ) -> Result<(), ActorProcessingErr> {
        failpoint::reach(Step::Decided);
        let registered = &self.activation.registered;
        if let Some(outage) = registered.node.journal.outage() {
            // Before the decision is applied, so that the state can still be read during the outage.
            answer(reply, permits, Answer::Decided(Err(outage.into())));
            return Ok(());
        }
        let Ok(loaded) = &mut self.loaded else { return Ok(()) };
        let mut decision = decision;
        if let Err(failure) = seal(registered, loaded, &mut decision).await {
            answer(reply, permits, Answer::Decided(Err(failure.into())));
            return Ok(());
        }
        let summaries = decision.summaries();
        let recent_keys = registered.node.config.commands.recent_keys.get();
        let id = self.activation.id.clone();
        let Decision { reply: domain_reply, events, after, timers, append: Some(append), data_subject: _ } = decision
        else {
            return Ok(());
        };
        if let Err(panic) =
            catch_unwind(AssertUnwindSafe(|| loaded.apply(&events, after, &timers, &append, recent_keys)))
        {
            answer(reply, permits, Answer::Decided(Err(CommandError::Panicked)));
            return Err(panicked(&self.activation, &*panic).into());
        }
        failpoint::reach(Step::Applied);
        let mark = Some(loaded.chain.mark());
        self.activation.state.set_empty(false);
        let snapshot = match take_due_snapshot(registered, loaded, &id) {
            Some(snapshot) => sealed_snapshot(registered, loaded, snapshot).await,
            None => None,
        };
        // In a box, because most commands take no snapshot.
        let snapshot = snapshot.map(|snapshot| Box::new((registered.node.journal.clone(), snapshot)));
        let on_commit = move |appended: Result<Committed, AppendError>| {
            let decided = appended.map(|committed| Outcome {
                id,
                version: committed.version,
                mark,
                position: Some(committed.last),
                events: summaries,
                reply: domain_reply,
                repeated: false,
            });
            if let (Ok(_), Some(snapshot)) = (&decided, snapshot) {
                // Only after the commit: a snapshot must never be ahead of the journal.
                let (journal, snapshot) = *snapshot;
                journal.offer_snapshot(snapshot);
            }
            failpoint::reach(Step::Answering);
            answer(reply, permits, Answer::Decided(decided.map_err(CommandError::from)));
        };
        let submission = Submission::append(append, Some(Arc::clone(&self.session)), on_commit);
        registered.node.journal.submit(submission).await;
        failpoint::reach(Step::Submitted);
        Ok(())
    }

    /// Answers once everything in the current state is durable.
    async fn answer_when_durable(
        &self,
        reply: oneshot::Sender<Answer<A>>,
        permits: RequestPermits,
        decided: impl FnOnce() -> Result<Outcome<A::Reply>, CommandError<A::Rejection>> + Send + 'static,
    ) {
        self.when_durable(move |durable| {
            let decided = if durable { decided() } else { Err(CommandError::Undone) };
            answer(reply, permits, Answer::Decided(decided));
        })
        .await;
    }

    /// Calls `tell` once it is known whether everything in the current state became durable.
    async fn when_durable(&self, tell: impl FnOnce(bool) + Send + 'static) {
        let version = self.loaded.as_ref().map_or(Version::ZERO, |loaded| loaded.version);
        if self.session.durable() >= version {
            return tell(true);
        }
        let barrier = Submission::barrier(Some(Arc::clone(&self.session)), move |durable| tell(durable.is_ok()));
        self.activation.registered.node.journal.submit(barrier).await;
    }

    async fn read(&mut self, Reading { reply, permits }: Reading<A>) {
        if reply.is_closed() {
            return;
        }
        let current = match self.ensure_loaded().await {
            Ok(loaded) => loaded.to_versioned_state(),
            Err(error) => {
                // The reader may have hung up.
                let _hung_up = reply.send(Err(error.into()));
                return;
            }
        };
        self.when_durable(move |durable| {
            let undone = || QueryError::Unavailable("the state that was read did not become durable".to_owned());
            drop(permits);
            // The reader may have hung up.
            let _hung_up = reply.send(if durable { Ok(current) } else { Err(undone()) });
        })
        .await;
    }

    /// Unloads the aggregate. No request uses it and none can reach it, so everything that it decided is durable.
    async fn sleep(&mut self, reason: Reason, done: watch::Sender<()>) {
        failpoint::reach(Step::FallingAsleep);
        let registered = Arc::clone(&self.activation.registered);
        let aggregate = registered.aggregate(&self.activation.id);
        let is_durable =
            |loaded: &&LoadedAggregate<A>| !self.session.is_broken() && self.session.durable() == loaded.version;
        if let Some(loaded) = self.loaded.as_ref().ok().filter(is_durable)
            && loaded.version > Version::ZERO
        {
            let snapshotted = save_due_snapshot(&registered, &aggregate, loaded, reason).await;
            if reason != Reason::Drain {
                match loaded.to_dormant(snapshotted) {
                    Ok(dormant) => registered.node.dormant.put(aggregate, dormant),
                    Err(error) => {
                        warn!(%aggregate, %error, "cannot keep an aggregate dormant, it will be replayed");
                    }
                }
            }
        }
        self.activation.asleep(reason);
        // Only now may the requests that wait for the aggregate ask for it again.
        drop(done);
        // The actor exists until its shard has noticed its end. The state is freed now.
        self.loaded = Err(LoadError::Unavailable("the aggregate sleeps".to_owned()));
    }
}

/// Lets the domain decide, and catches its panic. It is a function of its own because the instruction guards count it
/// by name.
#[inline(never)]
fn decide_unwinding<A: Aggregate>(
    activation: &Activation<A>,
    loaded: &LoadedAggregate<A>,
    command: Box<UndecidedCommand<A>>,
) -> std::thread::Result<Result<Decision<A>, CommandError<A::Rejection>>> {
    catch_unwind(AssertUnwindSafe(|| loaded.decide(&activation.registered, &activation.id, command)))
}

/// Sends the answer. The permits are returned first, so that a sender may send its next command as soon as it has the
/// answer.
pub(super) fn answer<A: Aggregate>(reply: oneshot::Sender<Answer<A>>, permits: RequestPermits, answer: Answer<A>) {
    drop(permits);
    // A sender that hung up after the decision can find the outcome by its key.
    let _hung_up = reply.send(answer);
}

fn panicked<A: Aggregate>(activation: &Activation<A>, panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("{} panicked: {}", activation.registered.aggregate(&activation.id), text.unwrap_or("(no message)"))
}

/// Seals what a decision stores, if anything of it has to be. In a box, because most commands have nothing to seal.
async fn seal<A: Aggregate>(
    registered: &RegisteredType<A>,
    loaded: &LoadedAggregate<A>,
    decision: &mut Decision<A>,
) -> Result<(), SealFailure> {
    match (&registered.sealing, &mut decision.append, &decision.data_subject) {
        (Some(sealing), Some(append), Some(subject)) => {
            Box::pin(sealing.seal(&registered.node, append, loaded.chain, subject, loaded.forgets)).await
        }
        _ => Ok(()),
    }
}

/// Seals a snapshot, if it has to be. `None` if that is not possible now: snapshots are a cache, and are taken again
/// later.
async fn sealed_snapshot<A: Aggregate>(
    registered: &RegisteredType<A>,
    loaded: &LoadedAggregate<A>,
    snapshot: Snapshot,
) -> Option<Snapshot> {
    let Some(sealing) = registered.sealing.as_ref().filter(|sealing| sealing.is_on()) else { return Some(snapshot) };
    let subject = loaded.state.data_subject(&snapshot.aggregate.id).into_owned();
    Box::pin(sealing.seal_snapshot(snapshot, &subject, loaded.forgets)).await.ok()
}

/// The snapshot that is due after a decision was applied. If it cannot be encoded, there is none.
fn take_due_snapshot<A: Aggregate>(
    registered: &RegisteredType<A>,
    loaded: &mut LoadedAggregate<A>,
    id: &AggregateId,
) -> Option<Snapshot> {
    if !registered.node.snapshots.is_due(SnapshotTrigger::Command, loaded.since_snapshot, &registered.replay_cost) {
        return None;
    }
    loaded.since_snapshot = 0;
    let (now, program) = (registered.node.clock.now(), registered.sample.program());
    loaded.to_snapshot(registered.aggregate(id), now, registered.shape, program).ok()
}

/// Takes the snapshot that is due before the aggregate sleeps. Returns whether it took one.
async fn save_due_snapshot<A: Aggregate>(
    registered: &RegisteredType<A>,
    aggregate: &AggregateRef,
    loaded: &LoadedAggregate<A>,
    reason: Reason,
) -> bool {
    let node = &registered.node;
    if !node.snapshots.is_due(SnapshotTrigger::Passivation, loaded.since_snapshot, &registered.replay_cost) {
        return false;
    }
    let (now, program) = (node.clock.now(), registered.sample.program());
    match loaded.to_snapshot(aggregate.clone(), now, registered.shape, program) {
        Ok(snapshot) => match sealed_snapshot(registered, loaded, snapshot).await {
            // A drain puts all aggregates to sleep at once: many more than the queue for offered snapshots holds.
            Some(snapshot) if reason == Reason::Drain => {
                node.journal.save_snapshot(snapshot).await;
                true
            }
            Some(snapshot) => {
                node.journal.offer_snapshot(snapshot);
                true
            }
            None => false,
        },
        Err(error) => {
            warn!(%aggregate, %error, "cannot encode a snapshot");
            false
        }
    }
}

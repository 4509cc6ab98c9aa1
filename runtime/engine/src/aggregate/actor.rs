//! The actor: one message at a time, never waiting for a commit.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use dormouse_journal::{AppendError, AppendSession, Committed, Submission};
use dormouse_kernel::failpoint::{self, Bug, Step};
use dormouse_kernel::{Aggregate, Position, Version};
use metrics::counter;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::warn;

use super::decision::Decision;
use super::loading::{LoadError, load};
use super::message::{Message, PassivationReason, Reading};
use super::{Activation, LoadedAggregate};
use crate::Lifecycle;
use crate::admission::RequestPermits;
use crate::delivery::{Answer, Delivery, OpenedDelivery, UndecidedCommand};
use crate::error::{CommandError, QueryError};
use crate::keys::KeyUsage;
use crate::metric;
use crate::outcome::Outcome;
use crate::snapshotting::SnapshotTrigger;

pub(crate) struct AggregateActor<A>(PhantomData<fn() -> A>);

impl<A> AggregateActor<A> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

/// The actor's memory.
pub(crate) struct ActorState<A: Aggregate> {
    activation: Activation<A>,
    /// The state, or why there is none.
    loaded: Result<LoadedAggregate<A>, LoadError>,
    /// What of it is durable. A new one each time the state is loaded.
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
            // The activation that failed may have left commits under way: they come first.
            activation.registered.node.journal.flush().await;
        }
        let loaded = load(&activation.registered, &activation.id).await;
        let mut state = ActorState { activation, loaded, session: Arc::new(AppendSession::new(Version::ZERO)) };
        state.begin_session();
        // Never an error here: it would drop the messages that are waiting already without a word.
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
                self.activation.registered.node.look_again();
            }
        }
    }

    /// The state to work on. If an append failed, everything decided since rests on nothing: it is loaded anew.
    async fn ensure_loaded(&mut self) -> Result<&mut LoadedAggregate<A>, LoadError> {
        let must_load = self.session.is_broken() || matches!(self.loaded, Err(LoadError::Unavailable(_)));
        if must_load && let Some(AppendError::Unavailable(reason)) = self.activation.registered.node.journal.outage() {
            // Not before it is over is it known what there is to load, and trying would keep everybody waiting.
            return Err(LoadError::Unavailable(reason));
        }
        if self.loaded.is_ok() && self.session.is_broken() {
            warn!(aggregate = %self.activation.registered.aggregate(&self.activation.id), "an append failed, loading again");
            self.activation.registered.node.journal.flush_session(&self.session).await;
            self.loaded = Err(LoadError::Unavailable("it is being loaded again".to_owned()));
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
        let command = match check_key(loaded, &self.session, command) {
            Ok(command) => command,
            Err(known) => {
                known.answer(reply, permits);
                return Ok(());
            }
        };
        let expected = command.options.expected;
        let dry_run = command.options.dry_run;
        let decided = if expected.matches(loaded.version, loaded.chain) {
            decide_unwinding(&self.activation, loaded, command)
        } else {
            Ok(Err(CommandError::VersionMismatch { expected, actual: loaded.version }))
        };
        match decided {
            Ok(Ok(decision)) if dry_run || decision.append.is_none() => {
                let outcome = self.without_events(decision);
                let head = (!dry_run).then(|| self.activation.registered.node.journal.head());
                // The head as it is when this is answered: by then it covers what the decision was based on.
                let placed = move || Outcome { position: head.map(|head| *head.borrow()), ..outcome };
                self.answer_when_durable(reply, permits, move || Ok(placed())).await;
            }
            Ok(Ok(decision)) => self.commit(decision, reply, permits).await?,
            Ok(Err(refused)) => self.answer_when_durable(reply, permits, move || Err(refused)).await,
            Err(panic) => {
                answer(reply, permits, Answer::Decided(Err(CommandError::Panicked)));
                return Err(panicked(&self.activation, &*panic).into());
            }
        }
        Ok(())
    }

    /// The outcome of a command that changes nothing.
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

    /// Follows the decision at once, and lets the writer answer once it is durable.
    async fn commit(
        &mut self,
        decision: Decision<A>,
        reply: oneshot::Sender<Answer<A>>,
        permits: RequestPermits,
    ) -> Result<(), ActorProcessingErr> {
        failpoint::reach(Step::Decided);
        let registered = &self.activation.registered;
        if let Some(outage) = registered.node.journal.outage() {
            // At once, and before the state follows: so it stays what can be read.
            answer(reply, permits, Answer::Decided(Err(outage.into())));
            return Ok(());
        }
        let Ok(loaded) = &mut self.loaded else { return Ok(()) };
        let summaries = decision.summaries();
        let recent_keys = registered.node.config.commands.recent_keys.get();
        let id = self.activation.id.clone();
        let Decision { reply: said, events, after, append: Some(append) } = decision else { return Ok(()) };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| loaded.apply(&events, after, &append, recent_keys))) {
            answer(reply, permits, Answer::Decided(Err(CommandError::Panicked)));
            return Err(panicked(&self.activation, &*panic).into());
        }
        failpoint::reach(Step::Applied);
        let mark = Some(loaded.chain.mark());
        self.activation.state.set_empty(false);
        let snapshot = if registered.node.snapshots.is_due(
            SnapshotTrigger::Command,
            loaded.since_snapshot,
            &registered.replay_cost,
        ) {
            loaded.since_snapshot = 0;
            // One that cannot be encoded is done without.
            loaded
                .to_snapshot(
                    registered.aggregate(&id),
                    registered.node.clock.now(),
                    registered.shape,
                    registered.sample.program(),
                )
                .ok()
        } else {
            None
        };
        if let Some(snapshot) = snapshot.as_ref().filter(|_| failpoint::is_planted(Bug::SnapshotAheadOfJournal)) {
            registered.node.journal.offer_snapshot(snapshot.clone());
        }
        // Boxed with what it needs: most commands take none.
        let snapshot = snapshot.map(|snapshot| Box::new((registered.node.journal.clone(), snapshot)));
        let told = move |appended: Result<Committed, AppendError>| {
            let decided = appended.map(|committed| Outcome {
                id,
                version: committed.version,
                mark,
                position: Some(committed.last),
                events: summaries,
                reply: said,
                repeated: false,
            });
            if let (Ok(_), Some(snapshot)) = (&decided, snapshot) {
                // Only now: a snapshot must never be ahead of the journal.
                let (journal, snapshot) = *snapshot;
                journal.offer_snapshot(snapshot);
            }
            failpoint::reach(Step::Answering);
            answer(reply, permits, Answer::Decided(decided.map_err(CommandError::from)));
        };
        if failpoint::is_planted(Bug::DropOnDrain) && *registered.node.lifecycle().borrow() != Lifecycle::Running {
            let version = append.last_version();
            told(Ok(Committed { first: Position::ZERO, last: Position::ZERO, version }));
            return Ok(());
        }
        let submission = Submission::append(append, Some(Arc::clone(&self.session)), told);
        registered.node.journal.submit(submission).await;
        failpoint::reach(Step::Submitted);
        Ok(())
    }

    /// Answers once everything this state was made of is durable.
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

    async fn when_durable(&self, tell: impl FnOnce(bool) + Send + 'static) {
        let version = self.loaded.as_ref().map_or(Version::ZERO, |loaded| loaded.version);
        if self.session.durable() >= version {
            return tell(true);
        }
        let barrier = Submission::barrier(Some(Arc::clone(&self.session)), move |seen| tell(seen.is_ok()));
        self.activation.registered.node.journal.submit(barrier).await;
    }

    async fn read(&mut self, Reading { reply, permits }: Reading<A>) {
        if reply.is_closed() {
            return;
        }
        let current = match self.ensure_loaded().await {
            Ok(loaded) => loaded.to_versioned_state(),
            Err(error) => {
                // Whoever asked may have gone.
                let _gone = reply.send(Err(error.into()));
                return;
            }
        };
        self.when_durable(move |durable| {
            let undone = || QueryError::Unavailable("what was read did not become durable".to_owned());
            drop(permits);
            // Whoever asked may have gone.
            let _gone = reply.send(if durable { Ok(current) } else { Err(undone()) });
        })
        .await;
    }

    /// Nobody uses the aggregate, and nobody can reach it any more: everything it decided is durable.
    async fn sleep(&mut self, reason: PassivationReason, done: watch::Sender<()>) {
        failpoint::reach(Step::FallingAsleep);
        let registered = Arc::clone(&self.activation.registered);
        let aggregate = registered.aggregate(&self.activation.id);
        let whole = |loaded: &&LoadedAggregate<A>| {
            let durable = !self.session.is_broken() && self.session.durable() == loaded.version;
            durable || failpoint::is_planted(Bug::EvictWithCommitsInFlight)
        };
        if let Some(loaded) = self.loaded.as_ref().ok().filter(whole)
            && loaded.version > Version::ZERO
        {
            let due = registered.node.snapshots.is_due(
                SnapshotTrigger::Passivation,
                loaded.since_snapshot,
                &registered.replay_cost,
            );
            let snapshot = due.then(|| {
                loaded.to_snapshot(
                    aggregate.clone(),
                    registered.node.clock.now(),
                    registered.shape,
                    registered.sample.program(),
                )
            });
            let snapshotted = match snapshot {
                // All go to sleep at once then, many more than there is room for snapshots waiting.
                Some(Ok(snapshot)) if reason == PassivationReason::Drain => {
                    registered.node.journal.save_snapshot(snapshot).await;
                    true
                }
                Some(Ok(snapshot)) => {
                    registered.node.journal.offer_snapshot(snapshot);
                    true
                }
                Some(Err(error)) => {
                    warn!(%aggregate, %error, "cannot snapshot");
                    false
                }
                None => false,
            };
            if reason != PassivationReason::Drain {
                match loaded.to_dormant(snapshotted) {
                    Ok(body) => registered.node.dormant.put(aggregate, body),
                    Err(error) => warn!(%aggregate, %error, "cannot keep dormant bytes"),
                }
            }
        }
        self.activation.asleep(reason.label());
        // Only now do those who wait for the aggregate come again.
        drop(done);
        // The rest of the actor waits until its shard has noticed its end; the state need not.
        self.loaded = Err(LoadError::Unavailable("it sleeps".to_owned()));
    }
}

/// What the domain decides, or the panic it ends with. It stays a function of its own, because the instruction guards count
/// it by its name.
#[inline(never)]
fn decide_unwinding<A: Aggregate>(
    activation: &Activation<A>,
    loaded: &LoadedAggregate<A>,
    command: Box<UndecidedCommand<A>>,
) -> std::thread::Result<Result<Decision<A>, CommandError<A::Rejection>>> {
    catch_unwind(AssertUnwindSafe(|| loaded.decide(&activation.registered, &activation.id, command)))
}

/// Whether the command's key allows it to be decided; otherwise what to answer.
fn check_key<A: Aggregate>(
    loaded: &LoadedAggregate<A>,
    session: &AppendSession,
    command: Box<UndecidedCommand<A>>,
) -> Result<Box<UndecidedCommand<A>>, PossibleRepeat<A>> {
    let Some(key) = &command.options.key else { return Ok(command) };
    let asked = command.key_unused_until;
    match loaded.keys.find(key) {
        KeyUsage::Unused => Ok(command),
        // The journal was asked, and the recent keys cover what came after that.
        KeyUsage::UnusedAfter(version) if asked.is_some_and(|asked| asked >= version) => Ok(command),
        // The hash belonged to another key: the journal was asked, and knows better.
        KeyUsage::ProbablyUsed(version) if asked.is_some_and(|asked| asked >= version) => Ok(command),
        KeyUsage::ProbablyUsed(first) if first > session.durable() => Err(PossibleRepeat::InFlight),
        KeyUsage::ProbablyUsed(_) | KeyUsage::UnusedAfter(_) => {
            Err(PossibleRepeat::LookUp { durable: session.durable(), command })
        }
    }
}

/// A key that was used before, or may have been.
enum PossibleRepeat<A: Aggregate> {
    InFlight,
    LookUp { durable: Version, command: Box<UndecidedCommand<A>> },
}

impl<A: Aggregate> PossibleRepeat<A> {
    fn answer(self, reply: oneshot::Sender<Answer<A>>, permits: RequestPermits) {
        match self {
            Self::InFlight => answer(reply, permits, Answer::Decided(Err(CommandError::KeyInFlight))),
            Self::LookUp { durable, command } => {
                let RequestPermits { aggregate, node } = permits;
                drop(aggregate);
                // A sender that hung up does not want it back.
                let _hung_up = reply.send(Answer::LookUp { durable, command, node });
            }
        }
    }
}

/// Answers; the places are given back first, so that whoever is answered may come again at once.
fn answer<A: Aggregate>(reply: oneshot::Sender<Answer<A>>, permits: RequestPermits, answer: Answer<A>) {
    drop(permits);
    // A sender that hung up after the decision finds the outcome by its key.
    let _hung_up = reply.send(answer);
}

fn panicked<A: Aggregate>(activation: &Activation<A>, panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("{} panicked: {}", activation.registered.aggregate(&activation.id), text.unwrap_or("(no message)"))
}

impl<R> From<LoadError> for CommandError<R> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Unavailable(reason) => Self::Unavailable(reason),
            LoadError::Unreadable(reason) => Self::Quarantined { reason },
        }
    }
}

impl From<LoadError> for QueryError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Unavailable(reason) => Self::Unavailable(reason),
            LoadError::Unreadable(reason) => Self::Unreadable(reason),
        }
    }
}

impl<R> From<AppendError> for CommandError<R> {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Fenced => Self::Fenced,
            AppendError::Closed => Self::Draining,
            AppendError::Unavailable(reason) => Self::Unavailable(reason),
            AppendError::Full(reason) => Self::JournalFull(reason),
            // Another activation wrote in between; this one loads again, and a retry finds it right.
            AppendError::VersionConflict { .. } | AppendError::KnownKey { .. } | AppendError::Undone => Self::Undone,
            AppendError::WrongSize { .. } => Self::Unstorable(error.to_string()),
        }
    }
}

//! The actor: one message at a time, never waiting for a commit.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use dormouse_journal::{AppendError, AppendSession, Committed, Submission};
use dormouse_kernel::failpoint::{self, Step};
use dormouse_kernel::{Aggregate, Version};
use metrics::counter;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::warn;

use super::decision::Decision;
use super::message::{Message, Reading, SleepReason};
use super::waking::{WakeError, wake};
use super::{Activation, Resident};
use crate::admission::Permits;
use crate::delivery::{Answer, Delivery, Parts, Undelivered};
use crate::error::{CommandError, QueryError};
use crate::keys::Seen;
use crate::metric;
use crate::outcome::Outcome;
use crate::snapshotting::Moment;

pub(crate) struct AggregateActor<A>(PhantomData<fn() -> A>);

impl<A> AggregateActor<A> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

/// The actor's memory.
pub(crate) struct Memory<A: Aggregate> {
    activation: Activation<A>,
    /// The state, or why there is none.
    resident: Result<Resident<A>, WakeError>,
    /// What of it is durable. A new one each time the state is loaded.
    session: Arc<AppendSession>,
}

impl<A: Aggregate> Actor for AggregateActor<A> {
    type Msg = Message<A>;
    type State = Memory<A>;
    type Arguments = Activation<A>;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message<A>>,
        activation: Activation<A>,
    ) -> Result<Memory<A>, ActorProcessingErr> {
        if activation.past.failed {
            // The activation that failed may have left commits under way: they come first.
            activation.kind.node.journal.flush().await;
        }
        let resident = wake(&activation.kind, &activation.id).await;
        let mut memory = Memory { activation, resident, session: Arc::new(AppendSession::new(Version::ZERO)) };
        memory.loaded();
        // Never an error here: it would drop the messages that are waiting already without a word.
        Ok(memory)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message<A>>,
        message: Message<A>,
        memory: &mut Memory<A>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Command(delivery) => memory.command(delivery).await?,
            Message::Read(reading) => memory.read(reading).await,
            Message::Sleep(reason, done) => {
                memory.sleep(reason, done).await;
                myself.stop(None);
            }
        }
        if let Err(WakeError::Unreadable(problem)) = &memory.resident {
            memory.activation.quarantine(problem.clone());
            myself.stop(None);
        }
        Ok(())
    }
}

impl<A: Aggregate> Memory<A> {
    fn loaded(&mut self) {
        if let Ok(resident) = &self.resident {
            self.session = Arc::new(AppendSession::new(resident.version));
            let is_empty = resident.version == Version::ZERO;
            self.activation.slot.set_empty(is_empty);
            if is_empty {
                self.activation.kind.node.look_again();
            }
        }
    }

    /// The state to work on. If an append failed, everything decided since rests on nothing: it is loaded anew.
    async fn resident(&mut self) -> Result<&mut Resident<A>, WakeError> {
        let must_load = self.session.is_broken() || matches!(self.resident, Err(WakeError::Unavailable(_)));
        if must_load && let Some(AppendError::Unavailable(reason)) = self.activation.kind.node.journal.outage() {
            // Not before it is over is it known what there is to load, and trying would keep everybody waiting.
            return Err(WakeError::Unavailable(reason));
        }
        if self.resident.is_ok() && self.session.is_broken() {
            warn!(aggregate = %self.activation.kind.aggregate(&self.activation.id), "an append failed, loading again");
            self.activation.kind.node.journal.flush_session(&self.session).await;
            self.resident = Err(WakeError::Unavailable("it is being loaded again".to_owned()));
        }
        if matches!(self.resident, Err(WakeError::Unavailable(_))) {
            self.resident = wake(&self.activation.kind, &self.activation.id).await;
            self.loaded();
        }
        self.resident.as_mut().map_err(|error| error.clone())
    }

    async fn command(&mut self, delivery: Delivery<A>) -> Result<(), ActorProcessingErr> {
        let Some(Parts { command, reply, permits }) = delivery.open() else { return Ok(()) };
        if reply.is_closed() {
            counter!(metric::ABANDONED).increment(1);
            return Ok(());
        }
        let now = Instant::now();
        if command.deadline <= now {
            answer(reply, permits, Answer::Decided(Err(CommandError::Expired)));
            return Ok(());
        }
        self.activation.kind.mailbox_wait.record(now.saturating_duration_since(command.sent));
        if let Err(error) = self.resident().await {
            answer(reply, permits, Answer::Decided(Err(error.into())));
            return Ok(());
        }
        let Ok(resident) = &mut self.resident else { return Ok(()) };
        let command = match check_key(resident, &self.session, command) {
            Ok(command) => command,
            Err(known) => {
                known.answer(reply, permits);
                return Ok(());
            }
        };
        let expected = command.options.expected;
        let dry_run = command.options.dry_run;
        let decided = if expected.matches(resident.version, resident.chain) {
            decide_unwinding(&self.activation, resident, command)
        } else {
            Ok(Err(CommandError::VersionMismatch { expected, actual: resident.version }))
        };
        match decided {
            Ok(Ok(decision)) if dry_run || decision.append.is_none() => {
                let outcome = self.without_events(decision);
                let head = (!dry_run).then(|| self.activation.kind.node.journal.head());
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
        let resident = self.resident.as_ref().ok();
        let version = resident.map_or(Version::ZERO, |resident| resident.version);
        let mark = resident.filter(|_| decision.append.is_none()).map(|resident| resident.chain.mark());
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
        permits: Permits,
    ) -> Result<(), ActorProcessingErr> {
        failpoint::reach(Step::Decided);
        let kind = &self.activation.kind;
        if let Some(outage) = kind.node.journal.outage() {
            // At once, and before the state follows: so it stays what can be read.
            answer(reply, permits, Answer::Decided(Err(outage.into())));
            return Ok(());
        }
        let Ok(resident) = &mut self.resident else { return Ok(()) };
        let summaries = decision.summaries();
        let recent_keys = kind.node.config.commands.recent_keys.get();
        let id = self.activation.id.clone();
        let Decision { reply: said, events, after, append: Some(append) } = decision else { return Ok(()) };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| resident.apply(&events, after, &append, recent_keys))) {
            answer(reply, permits, Answer::Decided(Err(CommandError::Panicked)));
            return Err(panicked(&self.activation, &*panic).into());
        }
        failpoint::reach(Step::Applied);
        let mark = Some(resident.chain.mark());
        self.activation.slot.set_empty(false);
        let snapshot = if kind.node.snapshots.is_due(Moment::Awake, resident.since_snapshot, &kind.replay_cost) {
            resident.since_snapshot = 0;
            // One that cannot be encoded is done without.
            resident.to_snapshot(kind.aggregate(&id), kind.node.clock.now(), kind.shape, kind.sample.program()).ok()
        } else {
            None
        };
        // Boxed with what it needs: most commands take none.
        let snapshot = snapshot.map(|snapshot| Box::new((kind.node.journal.clone(), snapshot)));
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
        let submission = Submission::append(append, Some(Arc::clone(&self.session)), told);
        kind.node.journal.submit(submission).await;
        failpoint::reach(Step::Submitted);
        Ok(())
    }

    /// Answers once everything this state was made of is durable.
    async fn answer_when_durable(
        &self,
        reply: oneshot::Sender<Answer<A>>,
        permits: Permits,
        decided: impl FnOnce() -> Result<Outcome<A::Reply>, CommandError<A::Rejection>> + Send + 'static,
    ) {
        self.when_durable(move |durable| {
            let decided = if durable { decided() } else { Err(CommandError::Undone) };
            answer(reply, permits, Answer::Decided(decided));
        })
        .await;
    }

    async fn when_durable(&self, tell: impl FnOnce(bool) + Send + 'static) {
        let version = self.resident.as_ref().map_or(Version::ZERO, |resident| resident.version);
        if self.session.durable() >= version {
            return tell(true);
        }
        let barrier = Submission::barrier(Some(Arc::clone(&self.session)), move |seen| tell(seen.is_ok()));
        self.activation.kind.node.journal.submit(barrier).await;
    }

    async fn read(&mut self, Reading { reply, permits }: Reading<A>) {
        if reply.is_closed() {
            return;
        }
        let current = match self.resident().await {
            Ok(resident) => resident.to_stated(),
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
    async fn sleep(&mut self, reason: SleepReason, done: watch::Sender<()>) {
        failpoint::reach(Step::FallingAsleep);
        let kind = Arc::clone(&self.activation.kind);
        let aggregate = kind.aggregate(&self.activation.id);
        let whole = |resident: &&Resident<A>| !self.session.is_broken() && self.session.durable() == resident.version;
        if let Some(resident) = self.resident.as_ref().ok().filter(whole)
            && resident.version > Version::ZERO
        {
            let due = kind.node.snapshots.is_due(Moment::FallingAsleep, resident.since_snapshot, &kind.replay_cost);
            let snapshot = due.then(|| {
                resident.to_snapshot(aggregate.clone(), kind.node.clock.now(), kind.shape, kind.sample.program())
            });
            let snapshotted = match snapshot {
                // All go to sleep at once then, many more than there is room for snapshots waiting.
                Some(Ok(snapshot)) if reason == SleepReason::Drain => {
                    kind.node.journal.save_snapshot(snapshot).await;
                    true
                }
                Some(Ok(snapshot)) => {
                    kind.node.journal.offer_snapshot(snapshot);
                    true
                }
                Some(Err(error)) => {
                    warn!(%aggregate, %error, "cannot snapshot");
                    false
                }
                None => false,
            };
            if reason != SleepReason::Drain {
                match resident.to_body(snapshotted) {
                    Ok(body) => kind.node.dormant.put(aggregate, body),
                    Err(error) => warn!(%aggregate, %error, "cannot keep dormant bytes"),
                }
            }
        }
        self.activation.asleep(reason.label());
        // Only now do those who wait for the aggregate come again.
        drop(done);
        // The rest of the actor waits until its shard has noticed its end; the state need not.
        self.resident = Err(WakeError::Unavailable("it sleeps".to_owned()));
    }
}

/// What the domain decides, or the panic it ends with. It stays a function of its own, because the instruction guards count
/// it by its name.
#[inline(never)]
fn decide_unwinding<A: Aggregate>(
    activation: &Activation<A>,
    resident: &Resident<A>,
    command: Box<Undelivered<A>>,
) -> std::thread::Result<Result<Decision<A>, CommandError<A::Rejection>>> {
    catch_unwind(AssertUnwindSafe(|| resident.decide(&activation.kind, &activation.id, command)))
}

/// Whether the command's key allows it to be decided; otherwise what to answer.
fn check_key<A: Aggregate>(
    resident: &Resident<A>,
    session: &AppendSession,
    command: Box<Undelivered<A>>,
) -> Result<Box<Undelivered<A>>, Known<A>> {
    let Some(key) = &command.options.key else { return Ok(command) };
    let asked = command.key_unused_until;
    match resident.keys.find(key) {
        Seen::Never => Ok(command),
        // The journal was asked, and the recent keys cover what came after that.
        Seen::NotAfter(version) if asked.is_some_and(|asked| asked >= version) => Ok(command),
        // The hash belonged to another key: the journal was asked, and knows better.
        Seen::Probably(version) if asked.is_some_and(|asked| asked >= version) => Ok(command),
        Seen::Probably(first) if first > session.durable() => Err(Known::InFlight),
        Seen::Probably(_) | Seen::NotAfter(_) => Err(Known::PerhapsInJournal { durable: session.durable(), command }),
    }
}

/// A key that was used before, or may have been.
enum Known<A: Aggregate> {
    InFlight,
    PerhapsInJournal { durable: Version, command: Box<Undelivered<A>> },
}

impl<A: Aggregate> Known<A> {
    fn answer(self, reply: oneshot::Sender<Answer<A>>, permits: Permits) {
        match self {
            Self::InFlight => answer(reply, permits, Answer::Decided(Err(CommandError::KeyInFlight))),
            Self::PerhapsInJournal { durable, command } => {
                let Permits { aggregate, node } = permits;
                drop(aggregate);
                // A sender that hung up does not want it back.
                let _hung_up = reply.send(Answer::LookUp { durable, command, node });
            }
        }
    }
}

/// Answers; the places are given back first, so that whoever is answered may come again at once.
fn answer<A: Aggregate>(reply: oneshot::Sender<Answer<A>>, permits: Permits, answer: Answer<A>) {
    drop(permits);
    // A sender that hung up after the decision finds the outcome by its key.
    let _hung_up = reply.send(answer);
}

fn panicked<A: Aggregate>(activation: &Activation<A>, panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("{} panicked: {}", activation.kind.aggregate(&activation.id), text.unwrap_or("(no message)"))
}

impl<R> From<WakeError> for CommandError<R> {
    fn from(error: WakeError) -> Self {
        match error {
            WakeError::Unavailable(reason) => Self::Unavailable(reason),
            WakeError::Unreadable(reason) => Self::Quarantined { reason },
        }
    }
}

impl From<WakeError> for QueryError {
    fn from(error: WakeError) -> Self {
        match error {
            WakeError::Unavailable(reason) => Self::Unavailable(reason),
            WakeError::Unreadable(reason) => Self::Unreadable(reason),
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

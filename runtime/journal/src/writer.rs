//! The one writer of a journal: it gathers what was submitted while the last commit was under way, checks it, commits
//! it in one go, and answers each submitter.

mod round;
mod stall;
mod submission;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use dormouse_kernel::failpoint::{self, Step};
use dormouse_kernel::{AggregateRef, Epoch, Position, Version};
use lru::LruCache;
use metrics::counter;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::append::Placed;
use crate::error::{AppendError, CommitError, StoreError};
use crate::feed::Ring;
use crate::metric::{self, CommitMetrics};
use crate::page::PageLimit;
use crate::store::{Ownership, Store};
use crate::turn::let_others_go_first;
use round::Round;
pub(crate) use stall::Stall;
pub use submission::{Submission, Undone};

/// Aggregates whose version the writer remembers, so that it need not ask the store: about 100 bytes each.
const REMEMBERED_VERSIONS: NonZeroUsize = NonZeroUsize::new(262_144).expect("it is not zero");

/// Between attempts to reach a store that does not answer: from the first to the longest pause.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// A writer that has nothing to commit looks so often whether it still owns the journal: so long may it show what its
/// successor has changed already.
const OWNERSHIP_CHECK: Duration = Duration::from_millis(500);

/// A commit whose outcome is open holds up everything behind it. So long whoever comes waits with it: most stores are
/// back by then. After that they are told.
const SETTLE_PATIENCE: Duration = Duration::from_secs(1);

/// A commit to a local disk takes milliseconds. One that takes longer than this has met a disk that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(7);

/// How often a batch is committed whose outcome turned out to be "not committed", before it is refused: it may be what
/// the store breaks over.
const COMMIT_ATTEMPTS: u32 = 3;

/// How the writer works.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most events in one commit.
    pub batch_events: usize,
    /// Most submissions waiting for the writer; past it, submitting waits.
    pub queue: usize,
    /// A writer that has finished nothing for longer, although something waits, counts as stalled.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        // 1,024 rows is the largest statement the stores prepare; the queue holds several such batches.
        Self { batch_events: 1024, queue: 16_384, patience: PATIENCE }
    }
}

/// Whether the journal takes appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ready,
    /// The store does not answer; the writer keeps trying.
    Recovering(String),
    /// The store has no room; what is there can be read, and the writer keeps trying.
    Full(String),
    /// Another writer has taken over. This one is done for good.
    Fenced,
    /// It was closed in good order.
    Closed,
}

/// Where a commit is made known to those who follow the log.
pub(crate) struct Announcer {
    pub(crate) head: watch::Sender<Position>,
    pub(crate) ring: Arc<Ring>,
}

impl Announcer {
    /// The events first: whoever is woken by the head finds them.
    fn announce(&self, last: Position, batch: Vec<Placed>) {
        self.ring.push(batch);
        self.head.send_replace(last);
    }
}

pub(crate) struct Writer {
    store: Arc<dyn Store>,
    options: Options,
    queue: mpsc::Receiver<Submission>,
    /// Out of the queue, and for a later round.
    waiting: VecDeque<Submission>,
    health: watch::Sender<Health>,
    announcer: Announcer,
    stall: Arc<Stall>,
    epoch: Epoch,
    /// The end of the log, as of the last commit. `None`: the journal must be acquired anew before the next.
    position: Option<Position>,
    versions: LruCache<AggregateRef, Version>,
    /// When a commit last showed, or a look, that the journal is ours.
    confirmed: Instant,
    retry: Retry,
    metrics: CommitMetrics,
}

impl Writer {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        options: Options,
        ownership: Ownership,
        queue: mpsc::Receiver<Submission>,
        health: watch::Sender<Health>,
        announcer: Announcer,
        stall: Arc<Stall>,
    ) -> Self {
        Self {
            store,
            options,
            queue,
            waiting: VecDeque::new(),
            health,
            announcer,
            stall,
            epoch: ownership.epoch,
            position: Some(ownership.head),
            versions: LruCache::new(REMEMBERED_VERSIONS),
            confirmed: Instant::now(),
            retry: Retry::default(),
            metrics: CommitMetrics::new(),
        }
    }

    /// Runs until the journal is closed, taken over, or nobody holds a handle on it any more.
    pub(crate) async fn run(mut self) {
        let mut gathered = Vec::new();
        while self.is_owner() {
            if self.waiting.is_empty() {
                if !self.receive(&mut gathered).await {
                    self.health.send_replace(Health::Closed);
                    return;
                }
                // One that was submitted in the moment in which the last batch was finished has gone unnoticed so far.
                self.stall.submitted();
                self.waiting.extend(gathered.drain(..));
                self.let_others_submit().await;
            }
            let (round, close) = Round::gather(&mut self.waiting, self.options.batch_events);
            self.play(round).await;
            self.stall.finished(!self.waiting.is_empty() || !self.queue.is_empty());
            if let Some(closed) = close {
                self.health.send_replace(Health::Closed);
                self.store.close().await;
                // Nobody waits any more if the submitter has gone.
                let _gone = closed.send(());
            }
        }
        self.refuse_rest().await;
    }

    /// Waits until something is submitted: an empty queue waits here, a full one gives all it has, at once. Meanwhile a
    /// store that did not answer is asked again, so that the journal recovers also while nobody uses it; and one that
    /// was taken over is noticed. Says whether anybody can still submit.
    async fn receive(&mut self, gathered: &mut Vec<Submission>) -> bool {
        loop {
            let due = self.retry.at().unwrap_or(self.confirmed + OWNERSHIP_CHECK);
            if Instant::now() < due {
                let received = self.queue.recv_many(gathered, self.options.batch_events);
                if let Ok(received) = tokio::time::timeout_at(due, received).await {
                    return received > 0;
                }
            }
            if self.retry.at().is_some() {
                // Noted where it is seen: health, metrics, log.
                let _outcome = self.acquire_again().await;
            } else {
                self.confirm().await;
            }
            if !self.is_owner() {
                return true;
            }
        }
    }

    /// Lets every task run that is ready to, and takes what they submit along: no time passes that the processor would
    /// not have been busy, and under load a batch has several times as many events, of which each costs less.
    async fn let_others_submit(&mut self) {
        let_others_go_first().await;
        while self.waiting.len() < self.options.batch_events
            && let Ok(submission) = self.queue.try_recv()
        {
            self.waiting.push_back(submission);
        }
    }

    /// Looks whether the journal is still ours. A store that does not answer is no proof of anything: the next commit
    /// will tell.
    async fn confirm(&mut self) {
        self.confirmed = Instant::now();
        if self.store.epoch().await.is_ok_and(|epoch| epoch != self.epoch) {
            self.fenced();
        }
    }

    fn is_owner(&self) -> bool {
        !matches!(*self.health.borrow(), Health::Fenced | Health::Closed)
    }

    /// Whoever comes now is told that this writer is done.
    async fn refuse_rest(mut self) {
        let error = match *self.health.borrow() {
            Health::Closed => AppendError::Closed,
            _ => AppendError::Fenced,
        };
        self.queue.close();
        while let Some(submission) = self.queue.recv().await {
            self.waiting.push_back(submission);
        }
        self.waiting.into_iter().for_each(|submission| submission.refuse(&error));
    }

    async fn play(&mut self, mut round: Round) {
        if round.has_appends() {
            failpoint::reach(Step::Gathered);
            let outcome = match self.prepare(&mut round).await {
                Ok(position) => {
                    let batch = round.batch(position);
                    self.commit(batch, &mut round).await
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(batch) => self.remember(batch),
                Err(error) => round.fail(&error),
            }
        }
        round.answer(&self.metrics);
    }

    /// Makes sure the journal is ours, and checks every append of the round against it.
    async fn prepare(&mut self, round: &mut Round) -> Result<Position, AppendError> {
        let position = match self.position {
            Some(position) => position,
            None => self.acquire_again().await?,
        };
        let checked = round.check(&*self.store, &mut self.versions).await;
        checked.map_err(|error| self.failed("check", &error))?;
        Ok(position)
    }

    /// Commits the batch of a round.
    async fn commit(&mut self, batch: Vec<Placed>, round: &mut Round) -> Result<Vec<Placed>, AppendError> {
        if batch.is_empty() {
            return Ok(batch);
        }
        let mut last = String::new();
        for _ in 0..COMMIT_ATTEMPTS {
            let started = Instant::now();
            failpoint::reach(Step::Committing);
            let committed = self.store.commit(self.epoch, &batch).await;
            match committed.and_then(|()| answer_of_store()) {
                Ok(()) => {
                    let events: usize = batch.iter().map(|placed| placed.append.events.len()).sum();
                    self.metrics.duration.record(started.elapsed());
                    self.metrics.batch_events.record(events as f64);
                    return Ok(batch);
                }
                Err(CommitError::Fenced) => return Err(self.fenced()),
                Err(CommitError::Refused(reason)) => {
                    return Err(self.failed("commit", &StoreError::Unavailable(reason)));
                }
                Err(CommitError::Full(reason)) => return Err(self.failed("commit", &StoreError::Full(reason))),
                Err(CommitError::Unknown(reason)) => {
                    warn!(%reason, "the outcome of a commit is unknown, asking the journal");
                    counter!(metric::ERRORS, "operation" => "commit").increment(1);
                    if self.settle(&batch, round).await? {
                        return Ok(batch);
                    }
                    // Certainly not committed. One that fails like this every time must not keep the writer for ever.
                    last = reason;
                }
            }
        }
        Err(self.failed("commit", &StoreError::Unavailable(last)))
    }

    /// Finds out whether a batch with an unknown outcome was committed. It does not give up while the journal may still
    /// be ours: an answer now could be wrong.
    async fn settle(&mut self, batch: &[Placed], round: &mut Round) -> Result<bool, AppendError> {
        let started = Instant::now();
        let mut retry = Retry::default();
        loop {
            match self.store.acquire(Some(self.epoch)).await {
                Ok(ownership) => {
                    self.epoch = ownership.epoch;
                    if let Ok(committed) = holds(&*self.store, batch).await {
                        info!(committed, epoch = %self.epoch, "found out about the unknown commit");
                        self.is_back();
                        return Ok(committed);
                    }
                }
                // Whoever took over did so after our commit or before it: the log tells which.
                Err(StoreError::Fenced) => {
                    if let Ok(committed) = holds(&*self.store, batch).await {
                        let fenced = self.fenced();
                        return if committed { Ok(true) } else { Err(fenced) };
                    }
                }
                Err(error) => {
                    self.health.send_replace(Health::Recovering(error.to_string()));
                }
            }
            let next = Instant::now() + retry.next_pause();
            if started.elapsed() >= SETTLE_PATIENCE {
                self.turn_away_until(next, round).await;
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// Answers whoever does not depend on the round whose commit is not settled. Nothing else can be committed, and
    /// reads need not wait for it.
    async fn turn_away_until(&mut self, until: Instant, unsettled: &mut Round) {
        let reason = match &*self.health.borrow() {
            Health::Recovering(reason) => reason.clone(),
            _ => "the outcome of a commit is not known yet".to_owned(),
        };
        let error = AppendError::Unavailable(reason);
        let mut depending = VecDeque::new();
        loop {
            let waiting = self.waiting.drain(..);
            depending.extend(waiting.filter_map(|submission| submission.turn_away(&error, unsettled)));
            match tokio::time::timeout_at(until, self.queue.recv()).await {
                Ok(Some(submission)) => self.waiting.push_back(submission),
                // Nobody can submit any more, or it is time.
                Ok(None) | Err(_) => break,
            }
        }
        self.waiting = depending;
    }

    async fn acquire_again(&mut self) -> Result<Position, AppendError> {
        if let Some(error) = self.retry.too_early() {
            return Err(error);
        }
        match self.store.acquire(Some(self.epoch)).await {
            Ok(ownership) => {
                info!(epoch = %ownership.epoch, head = %ownership.head, "the journal is available again");
                self.epoch = ownership.epoch;
                self.position = Some(ownership.head);
                self.versions.clear();
                self.retry = Retry::default();
                self.is_back();
                Ok(ownership.head)
            }
            Err(error) => Err(self.failed("acquire", &error)),
        }
    }

    /// The store answers again. The time of the outage is none of a commit.
    fn is_back(&self) {
        self.stall.finished(true);
        self.health.send_replace(Health::Ready);
    }

    fn remember(&mut self, batch: Vec<Placed>) {
        if let Some(last) = batch.last().map(Placed::last) {
            // After a takeover that we learned of while settling, the log may go on without us.
            self.position = Some(last);
            self.confirmed = Instant::now();
            self.announcer.announce(last, batch);
            self.metrics.head.set(last.0 as f64);
        }
    }

    fn failed(&mut self, operation: &'static str, error: &StoreError) -> AppendError {
        if *error == StoreError::Fenced {
            return self.fenced();
        }
        counter!(metric::ERRORS, "operation" => operation).increment(1);
        warn!(operation, %error, "the journal does not take appends");
        self.position = None;
        let (refusal, health) = match error {
            StoreError::Full(reason) => (AppendError::Full(reason.clone()), Health::Full(reason.clone())),
            _ => (AppendError::Unavailable(error.to_string()), Health::Recovering(error.to_string())),
        };
        self.retry.failed(refusal.clone());
        self.health.send_replace(health);
        refusal
    }

    fn fenced(&mut self) -> AppendError {
        error!(epoch = %self.epoch, "another writer has taken over the journal, nothing more is appended here");
        self.health.send_replace(Health::Fenced);
        AppendError::Fenced
    }
}

/// Whether the log holds this very batch. Batches are atomic, so its first event speaks for all; and the chain of
/// an event covers its unique id.
async fn holds(store: &dyn Store, batch: &[Placed]) -> Result<bool, StoreError> {
    let Some(first) = batch.first() else { return Ok(true) };
    let before = Position(first.first.0.saturating_sub(1));
    let found = store.read_log(before, PageLimit::ONE).await?;
    let (Some(found), Some(ours)) = (found.first(), first.append.events.first()) else { return Ok(false) };
    Ok(found.aggregate == first.append.aggregate && found.event.chain == ours.chain)
}

/// What the store says after a commit, unless a test makes its answer get lost.
fn answer_of_store() -> Result<(), CommitError> {
    failpoint::failure(Step::Committed).map_or(Ok(()), |reason| Err(CommitError::Unknown(reason)))
}

/// When to try an unavailable store again: exponential backoff.
#[derive(Debug, Default)]
struct Retry {
    failures: u32,
    last: Option<(Instant, AppendError)>,
}

impl Retry {
    fn next_pause(&mut self) -> Duration {
        let (first, longest) = BACKOFF;
        let pause = first.saturating_mul(1 << self.failures.min(10)).min(longest);
        self.failures += 1;
        pause
    }

    fn failed(&mut self, refusal: AppendError) {
        let pause = self.next_pause();
        self.last = Some((Instant::now() + pause, refusal));
    }

    fn at(&self) -> Option<Instant> {
        self.last.as_ref().map(|(next, _)| *next)
    }

    /// What to answer instead.
    fn too_early(&self) -> Option<AppendError> {
        self.last.as_ref().filter(|(next, _)| Instant::now() < *next).map(|(_, refusal)| refusal.clone())
    }
}

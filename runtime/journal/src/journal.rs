//! The handle on a journal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dormouse_kernel::failpoint::{self, Step};
use dormouse_kernel::{
    AggregateId, AggregateRef, AggregateType, Chain, CommandKey, Mark, Position, RecordedEvent, Version,
};
use metrics::{counter, gauge, histogram};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::warn;

use crate::append::{Append, Committed};
use crate::append_session::AppendSession;
use crate::error::{AppendError, ReadError, StoreError};
use crate::feed::{Feed, Ring};
use crate::filter::{LOOKED_AT, LogFilter, Selected};
use crate::metric;
use crate::page::{Page, PageLimit};
use crate::snapshot::{AsOf, Snapshot};
use crate::store::Store;
use crate::store::postgres_sessions::ReplicaStatus;
use crate::writer::{Announcer, Health, Options, Stall, Submission, Writer};

/// Snapshots waiting to be written. They are a cache: past this, new ones are dropped, and taken again later.
const SNAPSHOT_QUEUE: usize = 256;

/// Snapshots written in one transaction.
const SNAPSHOT_BATCH: usize = 64;

/// A handle on a journal, cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    queue: mpsc::Sender<Submission>,
    snapshots: mpsc::Sender<SnapshotTask>,
    health: watch::Receiver<Health>,
    head: watch::Receiver<Position>,
    ring: Arc<Ring>,
    stall: Arc<Stall>,
}

/// A point in an aggregate's history from which to read on: everything up to it is known already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The version of the last known event.
    pub version: Version,
    /// The chain up to it.
    pub chain: Chain,
}

impl Anchor {
    /// Before the first event.
    pub const START: Self = Self { version: Version::ZERO, chain: Chain::ROOT };
}

impl Journal {
    /// Takes over the log in `store` and starts its writer.
    ///
    /// # Errors
    /// If the store cannot be acquired.
    pub async fn start(store: Arc<dyn Store>, options: Options) -> Result<Self, StoreError> {
        metric::describe();
        let ownership = store.acquire(None).await?;
        let (queue, submissions) = mpsc::channel(options.queue);
        let (health_sender, health) = watch::channel(Health::Ready);
        let (head_sender, head) = watch::channel(ownership.head);
        let (snapshots, snapshot_tasks) = mpsc::channel(SNAPSHOT_QUEUE);
        let ring = Arc::new(Ring::default());
        let announcer = Announcer { head: head_sender, ring: Arc::clone(&ring) };
        let stall = Arc::new(Stall::new(options.patience));
        let (log, noted) = (Arc::clone(&store), Arc::clone(&stall));
        let writer = Writer::new(log, options, ownership, submissions, health_sender, announcer, noted);
        tokio::spawn(writer.run());
        tokio::spawn(write_snapshots(Arc::clone(&store), snapshot_tasks));
        Ok(Self { shared: Arc::new(Shared { store, queue, snapshots, health, head, ring, stall }) })
    }

    /// Gives the writer something to do. It is answered through the submission, in every case; here one only waits for
    /// a place in the queue.
    pub async fn submit(&self, submission: Submission) {
        self.shared.stall.submitted();
        // Most often there is room, and then nothing needs to be waited for.
        let returned = match self.shared.queue.try_send(submission) {
            Ok(()) => return,
            Err(TrySendError::Full(submission)) => match self.shared.queue.send(submission).await {
                Ok(()) => return,
                Err(returned) => returned.0,
            },
            Err(TrySendError::Closed(submission)) => submission,
        };
        returned.refuse(&self.ended());
    }

    /// Appends the events of one command and waits until they are durable.
    ///
    /// # Errors
    /// None of the events is in the journal then, with one exception: [`AppendError::Closed`] may also mean that the
    /// writer ended unexpectedly, and then the outcome is unknown to this process.
    pub async fn append(&self, append: Append) -> Result<Committed, AppendError> {
        let (answer, answered) = oneshot::channel();
        // The receiver lives until the end of this function or its caller has gone; then nobody is left to tell.
        let submission = Submission::append(append, None, move |outcome| _ = answer.send(outcome));
        self.submit(submission).await;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Waits until everything submitted before is decided: committed or refused.
    pub async fn flush(&self) {
        self.barrier(None).await;
    }

    /// The same for everything that was submitted on one append session, which may be decided earlier.
    pub async fn flush_session(&self, session: &Arc<AppendSession>) {
        self.barrier(Some(Arc::clone(session))).await;
    }

    async fn barrier(&self, session: Option<Arc<AppendSession>>) {
        let (answer, answered) = oneshot::channel();
        let barrier = Submission::barrier(session, move |_| _ = answer.send(()));
        self.submit(barrier).await;
        // A writer that has gone has decided all it ever will.
        let _gone = answered.await;
    }

    fn ended(&self) -> AppendError {
        match *self.shared.health.borrow() {
            Health::Fenced => AppendError::Fenced,
            _ => AppendError::Closed,
        }
    }

    /// The events of an aggregate after `anchor`, within `limit`, each checked to follow the one before it.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if they do not follow each other, or if the anchor is not part of this history.
    pub async fn events_after(
        &self,
        aggregate: &AggregateRef,
        anchor: Anchor,
        limit: PageLimit,
    ) -> Result<Page, ReadError> {
        let started = Instant::now();
        let read = self.read_from(aggregate, anchor.version, limit).await;
        let (found, page) = read.inspect_err(|_| counter!(metric::ERRORS, "operation" => "load").increment(1))?;
        histogram!(metric::LOAD_DURATION).record(started.elapsed());
        if anchor.version > Version::ZERO {
            let found = found.filter(|event| event.version == anchor.version);
            if found.as_ref().is_none_or(|found| found.event.chain != anchor.chain) {
                let position = found.map_or(Position::ZERO, |found| found.position);
                let problem = "the state that was kept does not belong to this history";
                return Err(damaged(aggregate, anchor.version, position, problem));
            }
        }
        verify(aggregate, anchor, &page)?;
        Ok(page)
    }

    /// A page of an aggregate's history: the events after a version, within `limit`, each checked to follow the one
    /// before it.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if they do not follow each other.
    pub async fn history(&self, aggregate: &AggregateRef, after: Version, limit: PageLimit) -> Result<Page, ReadError> {
        if after == Version::ZERO {
            return self.events_after(aggregate, Anchor::START, limit).await;
        }
        // The event right before the page is not part of it, but anchors it.
        let (Some(before), page) = self.read_from(aggregate, after, limit).await? else { return Ok(Page::default()) };
        if before.version != after {
            return Err(damaged(aggregate, after, before.position, "this version is missing"));
        }
        verify(aggregate, Anchor { version: after, chain: before.event.chain }, &page)?;
        Ok(page)
    }

    /// The event at a version, if the aggregate has it, and a page of those behind it.
    async fn read_from(
        &self,
        aggregate: &AggregateRef,
        version: Version,
        limit: PageLimit,
    ) -> Result<(Option<RecordedEvent>, Page), ReadError> {
        let Shared { store, .. } = &*self.shared;
        let unreadable = |error| unreadable(aggregate, version, error);
        let Some(before) = version.0.checked_sub(1).map(Version) else {
            return Ok((None, store.read_aggregate(aggregate, version, limit).await.map_err(unreadable)?));
        };
        let with_it = PageLimit { events: limit.events.saturating_add(1), largest: usize::MAX, ..limit };
        let mut page = store.read_aggregate(aggregate, before, with_it).await.map_err(unreadable)?;
        if page.is_empty() {
            return Ok((None, page));
        }
        let first = page.events.remove(0);
        if page.is_empty() && page.is_cut && limit.events > 0 {
            // It is so large that it took the room of all others.
            page = store.read_aggregate(aggregate, version, limit).await.map_err(unreadable)?;
        }
        Ok((Some(first), page))
    }

    /// The events after a position, in order and without gaps, within `limit`.
    ///
    /// # Errors
    /// If the store does not answer; [`ReadError::Damaged`] if a position is missing.
    pub async fn read_log(&self, after: Position, limit: PageLimit) -> Result<Page, ReadError> {
        let page = self.shared.store.read_log(after, limit).await?;
        let mut expected = after.next();
        for event in &page {
            if event.position != expected {
                return Err(damaged(
                    &event.aggregate,
                    event.version,
                    expected,
                    "this position is missing from the log",
                ));
            }
            expected = expected.next();
        }
        Ok(page)
    }

    /// The mark of the history at a position: of the chain of the event there. None, if the log does not reach that far, or the
    /// position is zero. What was just committed costs no read.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn mark_at(&self, position: Position) -> Result<Option<Mark>, ReadError> {
        let Some(before) = position.0.checked_sub(1).map(Position) else { return Ok(None) };
        if let Some(chain) = self.shared.ring.chain_at(position) {
            return Ok(Some(chain.mark()));
        }
        let page = self.read_log(before, PageLimit::ONE).await?;
        Ok(page.first().map(|event| event.event.chain.mark()))
    }

    /// Of the events after a position, up to `until` and to some thousands, those that meet a filter, within `limit`. `until`
    /// must not lie behind the [head](Self::head). Says how far it came: at least one event further, unless the next one that
    /// meets the filter is [too large](PageLimit::largest).
    ///
    /// # Errors
    /// If the store does not answer, or has lost a position.
    pub async fn select_log(
        &self,
        after: Position,
        until: Position,
        filter: &LogFilter,
        limit: PageLimit,
    ) -> Result<Selected, ReadError> {
        let until = until.min(after.plus(LOOKED_AT));
        if until <= after {
            return Ok(Selected { events: Vec::new(), reached: after });
        }
        let Page { events, is_cut } = self.shared.store.select_log(after, until, filter, limit).await?;
        let reached = if is_cut { events.last().map_or(after, |last| last.position) } else { until };
        Ok(Selected { events, reached })
    }

    /// Follows the log: the events after a position, as they are committed.
    #[must_use]
    pub fn feed(&self, after: Position) -> Feed {
        Feed::new(self.clone(), after)
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.shared.ring
    }

    /// The version of the first event of the aggregate's command with this key, if it is durable.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn find_command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<Option<Version>, ReadError> {
        Ok(self.shared.store.find_command(aggregate, key).await?)
    }

    /// The latest snapshot that is part of the wanted state. A store that does not answer has none: replay decides.
    pub async fn snapshot(&self, aggregate: &AggregateRef, as_of: AsOf) -> Option<Snapshot> {
        let found = self.shared.store.snapshot(aggregate, as_of).await;
        found.unwrap_or_else(|error| {
            warn!(%aggregate, %error, "cannot read snapshots");
            counter!(metric::ERRORS, "operation" => "snapshot").increment(1);
            None
        })
    }

    /// Aggregates of a type that have snapshots, by their ids, behind one of them.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn snapshotted(
        &self,
        aggregate_type: &AggregateType,
        after: Option<&AggregateId>,
        limit: usize,
    ) -> Result<Vec<AggregateId>, ReadError> {
        Ok(self.shared.store.snapshotted(aggregate_type, after, limit).await?)
    }

    /// How many aggregates of a type have snapshots.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn count_snapshotted(&self, aggregate_type: &AggregateType) -> Result<u64, ReadError> {
        Ok(self.shared.store.count_snapshotted(aggregate_type).await?)
    }

    /// Hands over a snapshot to be written behind. Its state must be durable already. Under pressure it is dropped.
    pub fn offer_snapshot(&self, snapshot: Snapshot) {
        if self.shared.snapshots.try_send(SnapshotTask::Save(snapshot)).is_err() {
            counter!(metric::ERRORS, "operation" => "snapshot-dropped").increment(1);
        }
    }

    /// The same, but waits for room instead: for those who give their states up.
    pub async fn save_snapshot(&self, snapshot: Snapshot) {
        if self.shared.snapshots.send(SnapshotTask::Save(snapshot)).await.is_err() {
            counter!(metric::ERRORS, "operation" => "snapshot-dropped").increment(1);
        }
    }

    /// The position of the last committed event, as this writer knows it. The receiver sees every later one.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Position> {
        self.shared.head.clone()
    }

    /// Whether it takes appends, and every change of that. If the sender goes without [`Health::Fenced`] or
    /// [`Health::Closed`], the writer has died.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.clone()
    }

    /// Why it takes no appends for now, if that is so. It finds out by itself when it does again.
    #[must_use]
    pub fn outage(&self) -> Option<AppendError> {
        match &*self.shared.health.borrow() {
            Health::Recovering(reason) => Some(AppendError::Unavailable(reason.clone())),
            Health::Full(reason) => Some(AppendError::Full(reason.clone())),
            Health::Ready => self.stalled().map(|stalled| {
                AppendError::Unavailable(format!("no commit has come to an end for {} s", stalled.as_secs()))
            }),
            Health::Fenced | Health::Closed => None,
        }
    }

    /// For how long the writer has finished nothing although something waits for it, if that is longer than a commit may
    /// take. It is told by a clock that runs whatever the writer does.
    #[must_use]
    pub fn stalled(&self) -> Option<Duration> {
        self.shared.stall.duration()
    }

    /// Asks the storage whether it answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<Position, ReadError> {
        Ok(self.shared.store.head().await?)
    }

    /// How the replicas do that the log is read from, too.
    #[must_use]
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        self.shared.store.replicas()
    }

    /// Brings the metrics that are read rather than counted up to date.
    pub fn sample_metrics(&self) {
        let connections = self.shared.store.connections();
        gauge!(metric::CONNECTIONS_ACTIVE).set(connections.active);
        gauge!(metric::CONNECTIONS_MAX).set(connections.max);
        gauge!(metric::HEAD).set(self.shared.head.borrow().0 as f64);
    }

    /// Finishes everything submitted before, writes the snapshots offered before, and lets go of the storage.
    pub async fn close(&self) {
        let (flushed, all_flushed) = oneshot::channel();
        if self.shared.snapshots.send(SnapshotTask::Flush(flushed)).await.is_ok() {
            // The task ends only with the last handle, which is us.
            let _gone = all_flushed.await;
        }
        let (closed, all_closed) = oneshot::channel();
        self.submit(Submission::close(closed)).await;
        // A writer that has gone is closed.
        let _gone = all_closed.await;
    }
}

enum SnapshotTask {
    Save(Snapshot),
    Flush(oneshot::Sender<()>),
}

async fn write_snapshots(store: Arc<dyn Store>, mut tasks: mpsc::Receiver<SnapshotTask>) {
    let mut gathered = Vec::new();
    while tasks.recv_many(&mut gathered, SNAPSHOT_BATCH).await > 0 {
        let mut snapshots = Vec::new();
        let mut flushed = Vec::new();
        for task in gathered.drain(..) {
            match task {
                SnapshotTask::Save(snapshot) => snapshots.push(snapshot),
                SnapshotTask::Flush(answer) => flushed.push(answer),
            }
        }
        if !snapshots.is_empty() {
            failpoint::reach(Step::Snapshotting);
            if let Err(error) = store.save_snapshots(&snapshots).await {
                counter!(metric::ERRORS, "operation" => "snapshot").increment(1);
                warn!(%error, "cannot write snapshots");
            }
            failpoint::reach(Step::Snapshotted);
        }
        // Whoever asked may have gone.
        flushed.into_iter().for_each(|answer| _ = answer.send(()));
    }
}

fn verify(aggregate: &AggregateRef, anchor: Anchor, events: &[RecordedEvent]) -> Result<(), ReadError> {
    let mut last = anchor;
    for event in events {
        let expected = last.version.next();
        if event.version != expected {
            return Err(damaged(aggregate, expected, event.position, "this version is missing"));
        }
        if !event.follows(last.chain) {
            return Err(damaged(aggregate, expected, event.position, "the hash chain is broken"));
        }
        last = Anchor { version: event.version, chain: event.event.chain };
    }
    Ok(())
}

/// What a store finds damaged of an aggregate is that aggregate's damage.
fn unreadable(aggregate: &AggregateRef, after: Version, error: StoreError) -> ReadError {
    match error {
        StoreError::Damaged(reason) => {
            warn!(%aggregate, reason, "events are damaged");
            damaged(
                aggregate,
                after.next(),
                Position::ZERO,
                "what is stored here, or behind it, is not what was written",
            )
        }
        other => other.into(),
    }
}

fn damaged(aggregate: &AggregateRef, version: Version, position: Position, problem: &'static str) -> ReadError {
    ReadError::Damaged { aggregate: aggregate.clone(), version, position, problem }
}

//! The one writer of a journal: it gathers what was submitted during the last commit into one batch, checks it, commits
//! it in one statement, and answers each submitter.

mod acquisition;
mod commit;
mod commit_batch;
mod health;
mod options;
mod stall;
mod submission;
mod unknown_outcome;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use dormouse_kernel::{AggregateRef, Epoch, Position, Version};
use lru::LruCache;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::append::Placed;
use crate::error::AppendError;
use crate::feed::Ring;
use crate::metric::CommitMetrics;
use crate::store::{Ownership, Store};
use crate::yield_to_ready_tasks::yield_to_ready_tasks;
use acquisition::Retry;
use commit_batch::CommitBatch;
pub use health::Health;
pub use options::Options;
pub(crate) use options::PATIENCE;
pub(crate) use stall::Stall;
pub use submission::{PredecessorFailed, Submission};

/// Aggregates whose versions the writer caches, so that it need not ask the store: about 100 bytes each.
const CACHED_VERSIONS: NonZeroUsize = NonZeroUsize::new(262_144).expect("it is not zero");

/// A writer that has nothing to commit checks this often whether it still owns the journal. Until then it may show a
/// state that its successor has changed already.
const OWNERSHIP_CHECK: Duration = Duration::from_millis(500);

/// Announces commits to the feeds.
pub(crate) struct Announcer {
    pub(crate) head: watch::Sender<Position>,
    pub(crate) ring: Arc<Ring>,
}

impl Announcer {
    fn announce(&self, last: Position, committed: Vec<Placed>) {
        // The events first: a feed that the new head wakes must find them.
        self.ring.push(committed);
        self.head.send_replace(last);
    }
}

pub(crate) struct Writer {
    store: Arc<dyn Store>,
    options: Options,
    queue: mpsc::Receiver<Submission>,
    /// Submissions that were taken from the queue, for the next batches.
    waiting: VecDeque<Submission>,
    health: watch::Sender<Health>,
    announcer: Announcer,
    stall: Arc<Stall>,
    epoch: Epoch,
    /// The end of the log after the last commit. `None`: the journal must be acquired again before the next commit.
    position: Option<Position>,
    versions: LruCache<AggregateRef, Version>,
    /// When a commit or a check last showed that this writer owns the journal.
    ownership_seen: Instant,
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
            versions: LruCache::new(CACHED_VERSIONS),
            ownership_seen: Instant::now(),
            retry: Retry::default(),
            metrics: CommitMetrics::new(),
        }
    }

    /// Runs until the journal is closed, another writer takes it over, or the last handle is dropped.
    pub(crate) async fn run(mut self) {
        let mut gathered = Vec::new();
        while self.is_owner() {
            if self.waiting.is_empty() {
                if !self.receive(&mut gathered).await {
                    self.health.send_replace(Health::Closed);
                    return;
                }
                // A submission that arrived while the last batch ended may not have been noted.
                self.stall.submitted();
                self.waiting.extend(gathered.drain(..));
                self.gather_ready().await;
            }
            let (batch, close) = CommitBatch::gather(&mut self.waiting, self.options.batch_events);
            self.process(batch).await;
            self.stall.finished(!self.waiting.is_empty() || !self.queue.is_empty());
            if let Some(closed) = close {
                self.health.send_replace(Health::Closed);
                self.store.close().await;
                // The caller that asked to close may have been dropped.
                let _dropped = closed.send(());
            }
        }
        self.refuse_rest().await;
    }

    /// Waits for submissions, and takes all that the queue has, up to one batch. `false`: nothing can be submitted any
    /// more.
    ///
    /// While the queue is empty, the writer tries again to reach a store that did not answer, so that the journal also
    /// recovers while it is not used. And it checks whether another owner has taken the journal over.
    async fn receive(&mut self, gathered: &mut Vec<Submission>) -> bool {
        loop {
            let due = self.retry.at().unwrap_or(self.ownership_seen + OWNERSHIP_CHECK);
            if Instant::now() < due {
                let received = self.queue.recv_many(gathered, self.options.batch_events);
                if let Ok(received) = tokio::time::timeout_at(due, received).await {
                    return received > 0;
                }
            }
            if self.retry.at().is_some() {
                // The outcome is noted in the health, the metrics and the log.
                let _outcome = self.acquire_again().await;
            } else {
                self.check_ownership().await;
            }
            if !self.is_owner() {
                return true;
            }
        }
    }

    /// Lets all tasks run that are ready, and adds what they submit to the batch. The processor is never idle
    /// meanwhile. Under load a batch then has several times as many events, and each event costs less.
    async fn gather_ready(&mut self) {
        yield_to_ready_tasks().await;
        while self.waiting.len() < self.options.batch_events
            && let Ok(submission) = self.queue.try_recv()
        {
            self.waiting.push_back(submission);
        }
    }

    fn is_owner(&self) -> bool {
        !matches!(*self.health.borrow(), Health::Fenced | Health::Closed)
    }

    /// Refuses everything that is still submitted to a writer that has ended.
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
}

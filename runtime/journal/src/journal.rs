//! The handle on a journal.
//!
//! `gateway/src/background.rs` lists the background tasks of a journal and its store.

mod reads;
mod sealed;
mod snapshots;

use std::sync::Arc;
use std::time::Duration;

use dormouse_encryption::DataKeys;
use dormouse_kernel::{Epoch, Position};
use dormouse_storage::postgres::ReplicaStatus;
use metrics::gauge;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::append::{Append, Committed};
use crate::append_session::AppendSession;
use crate::error::{AppendError, ReadError, StoreError};
use crate::feed::{Feed, Ring};
use crate::metric;
use crate::store::Store;
use crate::writer::{Announcer, Health, Options, Stall, Submission, Writer};
pub use reads::Anchor;
pub use sealed::event_binding;
use snapshots::SnapshotTask;

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
    epoch: Epoch,
    data_keys: Option<DataKeys>,
}

impl Journal {
    /// Takes over the log in `store` and starts its writer.
    ///
    /// # Errors
    /// If the store cannot be acquired.
    pub async fn start(store: Arc<dyn Store>, options: Options) -> Result<Self, StoreError> {
        metric::describe();
        let ownership = store.acquire(None).await?;
        let epoch = ownership.epoch;
        let (queue, submissions) = mpsc::channel(options.queue);
        let (health_sender, health) = watch::channel(Health::Ready);
        let (head_sender, head) = watch::channel(ownership.head);
        let (snapshots, snapshot_tasks) = mpsc::channel(snapshots::QUEUE);
        let ring = Arc::new(Ring::default());
        let announcer = Announcer { head: head_sender, ring: Arc::clone(&ring) };
        let stall = Arc::new(Stall::new(options.patience));
        let data_keys = options.data_keys.clone();
        let (log, noted) = (Arc::clone(&store), Arc::clone(&stall));
        let writer = Writer::new(log, options, ownership, submissions, health_sender, announcer, noted);
        tokio::spawn(writer.run());
        tokio::spawn(snapshots::write(Arc::clone(&store), snapshot_tasks));
        let shared = Shared { store, queue, snapshots, health, head, ring, stall, epoch, data_keys };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Submits a request to the writer, and waits only for a place in the queue. The callback of the submission is
    /// called in every case.
    pub async fn submit(&self, submission: Submission) {
        self.shared.stall.submitted();
        // The queue usually has room, so the future need not wait.
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
    /// After an error none of the events is in the journal, with one exception: [`AppendError::Closed`] may also mean
    /// that the writer ended unexpectedly. Then this process does not know the outcome.
    pub async fn append(&self, append: Append) -> Result<Committed, AppendError> {
        let (answer, answered) = oneshot::channel();
        // If the receiver was dropped, the caller has dropped this future and needs no answer.
        let submission = Submission::append(append, None, move |outcome| _ = answer.send(outcome));
        self.submit(submission).await;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Waits until everything that was submitted before is decided: committed or refused.
    pub async fn flush(&self) {
        self.barrier(None).await;
    }

    /// Waits until everything that was submitted before in one append session is decided, which may be earlier.
    pub async fn flush_session(&self, session: &Arc<AppendSession>) {
        self.barrier(Some(Arc::clone(session))).await;
    }

    async fn barrier(&self, session: Option<Arc<AppendSession>>) {
        let (answer, answered) = oneshot::channel();
        let barrier = Submission::barrier(session, move |_| _ = answer.send(()));
        self.submit(barrier).await;
        // A writer that has ended decides nothing more.
        let _ended = answered.await;
    }

    fn ended(&self) -> AppendError {
        match *self.shared.health.borrow() {
            Health::Fenced => AppendError::Fenced,
            _ => AppendError::Closed,
        }
    }

    /// The epoch with which this process took the log over. The writer may have raised its own since, to find out about
    /// a commit. Another process that takes over later has a higher one than both.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.shared.epoch
    }

    /// Follows the log: the events after a position, as they are committed.
    #[must_use]
    pub fn feed(&self, after: Position) -> Feed {
        Feed::new(self.clone(), after)
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.shared.ring
    }

    /// The position of the last committed event, as the writer knows it. The receiver is notified of later commits.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Position> {
        self.shared.head.clone()
    }

    /// Whether the journal takes appends; the receiver is notified of changes. If the sender is dropped without
    /// [`Health::Fenced`] or [`Health::Closed`], the writer has panicked.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.clone()
    }

    /// Why the journal takes no appends for now. It recovers without help. `None` if it takes appends, or will take
    /// none ever again.
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

    /// For how long the writer has finished nothing although a submission waits. `None` if it is no longer than a
    /// commit may take. The clock does not depend on the writer.
    #[must_use]
    pub fn stalled(&self) -> Option<Duration> {
        self.shared.stall.duration()
    }

    /// Reads the head from the store, to see whether it answers.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn ping(&self) -> Result<Position, ReadError> {
        Ok(self.shared.store.head().await?)
    }

    /// The status of the replicas that the log is also read from.
    #[must_use]
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        self.shared.store.replicas()
    }

    /// Sets the gauges that are sampled rather than counted.
    pub fn sample_metrics(&self) {
        let connections = self.shared.store.connections();
        gauge!(metric::CONNECTIONS_ACTIVE).set(connections.active);
        gauge!(metric::CONNECTIONS_MAX).set(connections.max);
        gauge!(metric::HEAD).set(self.shared.head.borrow().0 as f64);
    }

    /// Decides everything that was submitted before, writes the snapshots that were offered before, and closes the
    /// store.
    pub async fn close(&self) {
        let (flushed, all_flushed) = oneshot::channel();
        if self.shared.snapshots.send(SnapshotTask::Flush(flushed)).await.is_ok() {
            // The task does not end while this handle exists.
            let _ended = all_flushed.await;
        }
        let (closed, all_closed) = oneshot::channel();
        self.submit(Submission::close(closed)).await;
        // A writer that has ended is closed already.
        let _ended = all_closed.await;
    }
}

//! A store that does what the one inside it does, is watched, and gets into trouble when a test wants it to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dormouse_journal::store::{Connections, Ownership, Placed};
use dormouse_journal::{AsOf, CommitError, Snapshot, Store, StoreError};
use dormouse_kernel::{AggregateRef, CommandKey, Epoch, Position, RecordedEvent, Version};
use tokio::sync::{MutexGuard, Semaphore};

/// What becomes of one commit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// It is refused.
    Refused,
    /// Its answer is lost, after it happened or before it could.
    Lost { committed: bool },
    /// The same, and somebody takes the journal over before anything can be found out.
    TakenOver { committed: bool },
}

#[derive(Debug)]
pub(crate) struct Watched {
    inner: Arc<dyn Store>,
    batches: Mutex<Vec<usize>>,
    troubles: Mutex<VecDeque<Trouble>>,
    failing_acquisitions: AtomicUsize,
    down: AtomicBool,
    gate: tokio::sync::Mutex<()>,
    arrived: Semaphore,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            batches: Mutex::default(),
            troubles: Mutex::default(),
            failing_acquisitions: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            gate: tokio::sync::Mutex::default(),
            arrived: Semaphore::new(0),
        })
    }

    /// What the next commits run into, one after the other.
    pub(crate) fn get_into(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.troubles.lock().unwrap().extend(troubles);
    }

    /// Lets the next acquisitions fail.
    pub(crate) fn fail_acquisitions(&self, count: usize) {
        self.failing_acquisitions.store(count, Ordering::SeqCst);
    }

    /// Whether it answers at all.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Appends per commit so far.
    pub(crate) fn batches(&self) -> Vec<usize> {
        self.batches.lock().unwrap().clone()
    }

    /// Holds up commits until the guard is dropped.
    pub(crate) async fn hold(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().await
    }

    /// Waits for the next commit to arrive, be it held up or not.
    pub(crate) async fn commit_arrives(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    fn answers(&self) -> Result<(), StoreError> {
        let down = self.down.load(Ordering::SeqCst);
        if down { Err(StoreError::Unavailable("it is down".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for Watched {
    async fn acquire(&self, previous: Option<Epoch>) -> Result<Ownership, StoreError> {
        self.answers()?;
        let one_less = |left: usize| left.checked_sub(1);
        if self.failing_acquisitions.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            return Err(StoreError::Unavailable("it is still down".to_owned()));
        }
        self.inner.acquire(previous).await
    }

    async fn commit(&self, epoch: Epoch, batch: &[Placed]) -> Result<(), CommitError> {
        self.arrived.add_permits(1);
        let _open = self.gate.lock().await;
        self.answers().map_err(|error| CommitError::Refused(error.to_string()))?;
        let trouble = self.troubles.lock().unwrap().pop_front();
        if let Some(Trouble::Refused) = trouble {
            return Err(CommitError::Refused("it will not".to_owned()));
        }
        if !matches!(trouble, Some(Trouble::Lost { committed: false } | Trouble::TakenOver { committed: false })) {
            self.inner.commit(epoch, batch).await?;
            self.batches.lock().unwrap().push(batch.len());
        }
        if let Some(Trouble::TakenOver { .. }) = trouble {
            self.inner.acquire(None).await.unwrap();
        }
        if trouble.is_some() { Err(CommitError::Unknown("the answer was lost".to_owned())) } else { Ok(()) }
    }

    async fn versions(&self, aggregates: &[AggregateRef]) -> Result<Vec<Version>, StoreError> {
        self.answers()?;
        self.inner.versions(aggregates).await
    }

    async fn find_command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<Option<Version>, StoreError> {
        self.answers()?;
        self.inner.find_command(aggregate, key).await
    }

    async fn read_aggregate(
        &self,
        aggregate: &AggregateRef,
        after: Version,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        self.answers()?;
        self.inner.read_aggregate(aggregate, after, limit).await
    }

    async fn read_log(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.answers()?;
        self.inner.read_log(after, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.answers()?;
        self.inner.head().await
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.answers()?;
        self.inner.epoch().await
    }

    async fn save_snapshots(&self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        self.answers()?;
        self.inner.save_snapshots(snapshots).await
    }

    async fn snapshot(&self, aggregate: &AggregateRef, as_of: AsOf) -> Result<Option<Snapshot>, StoreError> {
        self.answers()?;
        self.inner.snapshot(aggregate, as_of).await
    }

    fn connections(&self) -> Connections {
        self.inner.connections()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

//! A store that does what the one in memory does, is watched, and gets into trouble when a test wants it to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_journal::store::{Connections, Memory, Ownership, Placed, Retention};
use dormouse_journal::{AsOf, CommitError, Snapshot, Store, StoreError};
use dormouse_kernel::{AggregateRef, CommandKey, Epoch, Position, RecordedEvent, Version};
use tokio::sync::{MutexGuard, Semaphore};

/// What becomes of one commit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// It goes through after all.
    None,
    /// It is refused.
    Refused,
    /// Its answer is lost, after it happened or before it could.
    Lost { committed: bool },
    /// The writer breaks over it.
    Panic,
}

/// One reading of an aggregate's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) id: String,
    pub(crate) after: Version,
}

type Tamper = Box<dyn Fn(&mut Snapshot) + Send>;

pub(crate) struct Watched {
    pub(crate) inner: Memory,
    commits: AtomicUsize,
    look_ups: AtomicUsize,
    reads: Mutex<Vec<Read>>,
    saved: Mutex<Vec<(String, Version)>>,
    violations: Mutex<Vec<String>>,
    troubles: Mutex<VecDeque<Trouble>>,
    tamper: Mutex<Option<Tamper>>,
    delay_micros: AtomicU64,
    down: AtomicBool,
    commit_gate: tokio::sync::Mutex<()>,
    read_gate: tokio::sync::Mutex<()>,
    arrived: Semaphore,
}

impl Watched {
    pub(crate) fn new() -> Arc<Self> {
        let retention = Retention { keep_count: 1000, max_age: Duration::from_secs(1 << 30) };
        Arc::new(Self {
            inner: Memory::new(retention),
            commits: AtomicUsize::new(0),
            look_ups: AtomicUsize::new(0),
            reads: Mutex::default(),
            saved: Mutex::default(),
            violations: Mutex::default(),
            troubles: Mutex::default(),
            tamper: Mutex::default(),
            delay_micros: AtomicU64::new(0),
            down: AtomicBool::new(false),
            commit_gate: tokio::sync::Mutex::default(),
            read_gate: tokio::sync::Mutex::default(),
            arrived: Semaphore::new(0),
        })
    }

    /// What the next commits run into, one after the other.
    pub(crate) fn get_into(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.troubles.lock().unwrap().extend(troubles);
    }

    /// Whether it answers at all.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// How long a commit takes from now on.
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.delay_micros.store(delay.as_micros() as u64, Ordering::SeqCst);
    }

    /// What is done to every snapshot that is read from now on.
    pub(crate) fn tamper(&self, tamper: impl Fn(&mut Snapshot) + Send + 'static) {
        *self.tamper.lock().unwrap() = Some(Box::new(tamper));
    }

    /// Holds up commits until the guard is dropped, and forgets about those that arrived before.
    pub(crate) async fn hold_commits(&self) -> MutexGuard<'_, ()> {
        let held = self.commit_gate.lock().await;
        self.arrived.forget_permits(usize::MAX >> 4);
        held
    }

    /// Holds up the reading of aggregates until the guard is dropped.
    pub(crate) async fn hold_reads(&self) -> MutexGuard<'_, ()> {
        self.read_gate.lock().await
    }

    /// Waits for the next commit to arrive, be it held up or not.
    pub(crate) async fn commit_arrives(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }

    /// How often a command key was looked for.
    pub(crate) fn look_ups(&self) -> usize {
        self.look_ups.load(Ordering::SeqCst)
    }

    pub(crate) fn reads(&self) -> Vec<Read> {
        self.reads.lock().unwrap().clone()
    }

    pub(crate) fn forget_reads(&self) {
        self.reads.lock().unwrap().clear();
    }

    /// The versions of an aggregate that were snapshotted, in the order of writing.
    pub(crate) fn snapshots(&self, id: &str) -> Vec<u64> {
        self.saved.lock().unwrap().iter().filter(|(saved, _)| saved == id).map(|(_, version)| version.0).collect()
    }

    pub(crate) fn snapshotted(&self) -> usize {
        self.saved.lock().unwrap().len()
    }

    /// What must never happen, and did.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    fn answers(&self) -> Result<(), StoreError> {
        let down = self.down.load(Ordering::SeqCst);
        if down { Err(StoreError::Unavailable("it is down".to_owned())) } else { Ok(()) }
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Watched").field("commits", &self.commits()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Watched {
    async fn acquire(&self, previous: Option<Epoch>) -> Result<Ownership, StoreError> {
        self.answers()?;
        self.inner.acquire(previous).await
    }

    async fn commit(&self, epoch: Epoch, batch: &[Placed]) -> Result<(), CommitError> {
        self.arrived.add_permits(1);
        let delay = Duration::from_micros(self.delay_micros.load(Ordering::SeqCst));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let _open = self.commit_gate.lock().await;
        let trouble = self.troubles.lock().unwrap().pop_front().unwrap_or(Trouble::None);
        if !matches!(trouble, Trouble::Lost { .. }) {
            self.answers().map_err(|error| CommitError::Refused(error.to_string()))?;
        }
        match trouble {
            Trouble::Refused => return Err(CommitError::Refused("it will not".to_owned())),
            Trouble::Panic => panic!("the writer breaks"),
            Trouble::Lost { committed: false } => {}
            Trouble::None | Trouble::Lost { committed: true } => {
                self.inner.commit(epoch, batch).await?;
                self.commits.fetch_add(1, Ordering::SeqCst);
            }
        }
        match trouble {
            Trouble::Lost { .. } => Err(CommitError::Unknown("the answer was lost".to_owned())),
            _ => Ok(()),
        }
    }

    async fn versions(&self, aggregates: &[AggregateRef]) -> Result<Vec<Version>, StoreError> {
        self.answers()?;
        self.inner.versions(aggregates).await
    }

    async fn find_command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<Option<Version>, StoreError> {
        self.answers()?;
        self.look_ups.fetch_add(1, Ordering::SeqCst);
        self.inner.find_command(aggregate, key).await
    }

    async fn read_aggregate(
        &self,
        aggregate: &AggregateRef,
        after: Version,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let _open = self.read_gate.lock().await;
        self.answers()?;
        self.reads.lock().unwrap().push(Read { id: aggregate.id.as_str().to_owned(), after });
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
        for snapshot in snapshots {
            let durable = self.inner.versions(std::slice::from_ref(&snapshot.aggregate)).await?[0];
            if snapshot.version > durable {
                let (aggregate, version) = (&snapshot.aggregate, snapshot.version);
                let violation = format!("{aggregate} was snapshotted at {version}, but only {durable} is durable");
                self.violations.lock().unwrap().push(violation);
            }
            self.saved.lock().unwrap().push((snapshot.aggregate.id.as_str().to_owned(), snapshot.version));
        }
        self.inner.save_snapshots(snapshots).await
    }

    async fn snapshot(&self, aggregate: &AggregateRef, as_of: AsOf) -> Result<Option<Snapshot>, StoreError> {
        self.answers()?;
        let mut found = self.inner.snapshot(aggregate, as_of).await?;
        if let (Some(snapshot), Some(tamper)) = (&mut found, &*self.tamper.lock().unwrap()) {
            tamper(snapshot);
        }
        Ok(found)
    }

    fn connections(&self) -> Connections {
        self.inner.connections()
    }

    async fn close(&self) {
        // The memory stays open for whoever starts on it next.
    }
}

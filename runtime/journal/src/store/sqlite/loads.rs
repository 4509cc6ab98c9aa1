//! Shared loads: one statement serves the reads that wait at the same time, because a trip to a connection's thread
//! costs more than most reads do.
//!
//! Background tasks: up to [`LOADERS`] loaders for each type of read. A loader starts with a read and ends when no read
//! waits. It does not belong to a reader, so a reader that is dropped disturbs no other.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use crate::error::StoreError;
use crate::yield_to_ready_tasks::yield_to_ready_tasks;

/// Most reads in one load. With more, the first of them would wait longer, and each would cost as much.
pub(super) const READS_PER_LOAD: usize = 32;

/// Most loads of one type of read at a time, each on a connection. Two are as fast from memory; a cold disk needs more
/// at once. This is half of the default number of connections. Loads of events and of snapshots together may use all of
/// them.
const LOADERS: usize = 4;

/// Most reads that wait for a loader: more than an engine usually loads at once. Further reads wait for a permit.
const WAITING: usize = 1024;

/// The numbers of reads for which statements are prepared. A load takes the next larger one; rows that are not bound
/// are NULL, and match nothing.
const PREPARED_READS: [usize; 2] = [8, READS_PER_LOAD];

/// The statements of a load, one for each prepared size.
pub(super) struct Statements([String; PREPARED_READS.len()]);

impl Statements {
    /// Makes the statements with `sql`, from the wanted rows: each has its number in the load, and four parameters.
    pub(super) fn new(sql: impl Fn(&str) -> String) -> Self {
        Self(PREPARED_READS.map(|reads| {
            let rows: Vec<String> = (0..reads).map(|number| format!("({number},?,?,?,?)")).collect();
            sql(&rows.join(","))
        }))
    }

    /// The statement for this many reads, at most [`READS_PER_LOAD`].
    pub(super) fn of(&self, reads: usize) -> &str {
        &self.0[PREPARED_READS.partition_point(|prepared| *prepared < reads)]
    }
}

/// A read that one statement can do for several readers.
#[async_trait]
pub(super) trait Load: Debug + Send + Sync + 'static {
    /// What one reader asks for.
    type Request: Send;
    /// What one reader gets.
    type Output: Send;

    /// Reads for one to [`READS_PER_LOAD`] readers. The results have the order of the requests.
    async fn load(&self, wanted: Vec<Self::Request>) -> Vec<Result<Self::Output, StoreError>>;
}

/// The queue of one type of read, with its loaders.
#[derive(Debug)]
pub(super) struct Loads<L: Load> {
    queue: Arc<Queue<L>>,
    /// The runtime of the loaders, whichever runtime the readers use: a loader that shared a thread with domain code
    /// that loops would delay all readers.
    runtime: Handle,
}

#[derive(Debug)]
struct Queue<L: Load> {
    load: L,
    permits: Semaphore,
    state: Mutex<State<L>>,
}

struct State<L: Load> {
    waiting: VecDeque<Read<L>>,
    loaders: usize,
}

struct Read<L: Load> {
    wanted: L::Request,
    answer: oneshot::Sender<Result<L::Output, StoreError>>,
}

impl<L: Load> Loads<L> {
    pub(super) fn new(load: L) -> Self {
        let state = State { waiting: VecDeque::new(), loaders: 0 };
        let queue = Arc::new(Queue { load, permits: Semaphore::new(WAITING), state: Mutex::new(state) });
        Self { queue, runtime: Handle::current() }
    }

    /// Reads, together with the reads that wait at the same time. It waits only for a loader: a single read starts at
    /// once.
    ///
    /// The result includes everything that was durable before the call: a load takes reads that wait already, and its
    /// statement starts afterwards.
    pub(super) async fn read(&self, wanted: L::Request) -> Result<L::Output, StoreError> {
        // The semaphore is never closed.
        if let Ok(permit) = self.queue.permits.acquire().await {
            // Held until a loader has taken the read, even if its reader is dropped.
            permit.forget();
        }
        let (answer, answered) = oneshot::channel();
        if self.queue.push(Read { wanted, answer }) {
            self.runtime.spawn(Loader { queue: Arc::clone(&self.queue), has_ended: false }.run());
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the load was interrupted".to_owned())))
    }
}

impl<L: Load> Queue<L> {
    fn state(&self) -> MutexGuard<'_, State<L>> {
        // A panic cannot leave a change half made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a read. Returns whether one more loader is needed. That loader is counted already.
    fn push(&self, read: Read<L>) -> bool {
        let mut state = self.state();
        state.waiting.push_back(read);
        let needed = state.loaders < LOADERS;
        state.loaders += usize::from(needed);
        needed
    }
}

/// A task that loads until no read waits.
struct Loader<L: Load> {
    queue: Arc<Queue<L>>,
    has_ended: bool,
}

impl<L: Load> Loader<L> {
    async fn run(mut self) {
        loop {
            // Tasks that are ready to run add their reads to this load.
            yield_to_ready_tasks().await;
            let Some(reads) = self.take() else { return };
            // A reader that was dropped needs no result.
            let reads = reads.into_iter().filter(|read| !read.answer.is_closed());
            let (wanted, answers): (Vec<_>, Vec<_>) = reads.map(|read| (read.wanted, read.answer)).unzip();
            if wanted.is_empty() {
                continue;
            }
            let found = self.queue.load.load(wanted).await;
            for (answer, found) in answers.into_iter().zip(found) {
                // The reader may have been dropped meanwhile.
                let _dropped = answer.send(found);
            }
        }
    }

    /// The reads of the next load; `None` at the end.
    fn take(&mut self) -> Option<Vec<Read<L>>> {
        let mut state = self.queue.state();
        let taken = state.waiting.len().min(READS_PER_LOAD);
        if taken == 0 {
            // Under the same lock: the next read starts another loader.
            state.loaders -= 1;
            self.has_ended = true;
            return None;
        }
        let reads = state.waiting.drain(..taken).collect();
        drop(state);
        self.queue.permits.add_permits(taken);
        Some(reads)
    }
}

impl<L: Load> Drop for Loader<L> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        // The loader panicked, or the runtime ended. Dropping the reads fails their readers, which would wait for ever.
        let mut state = self.queue.state();
        state.loaders -= 1;
        let abandoned = std::mem::take(&mut state.waiting);
        drop(state);
        self.queue.permits.add_permits(abandoned.len());
    }
}

impl<L: Load> Debug for State<L> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut state = formatter.debug_struct("State");
        state.field("waiting", &self.waiting.len()).field("loaders", &self.loaders).finish()
    }
}

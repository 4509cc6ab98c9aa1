//! Reads that are asked for at the same time go to the files together: a trip to a connection's thread costs more than
//! what most reads find there.
//!
//! Background tasks: up to [`LOADERS`] loaders per kind of read, from the first that is asked to the last that is
//! answered. They belong to nobody who asks, so whoever stops waiting disturbs no one else.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use crate::error::StoreError;
use crate::yield_to_ready_tasks::yield_to_ready_tasks;

/// Reads that one load takes. More make the first of them wait longer and cost as much each.
pub(super) const READS_PER_LOAD: usize = 32;

/// Loads under way at a time, each on a connection. From memory two are as fast; a cold disk wants more to do at once.
/// Half of the connections there are by default: the rest is for other reads.
const LOADERS: usize = 4;

/// Reads that wait for a loader; more of them wait for a place. As many as an engine wakes at once, and then some.
const WAITING: usize = 1024;

/// The loads that are prepared: for as many reads as this. One takes the next larger; rows that are not bound are NULL,
/// and match nothing.
const PREPARED_READS: [usize; 2] = [8, READS_PER_LOAD];

/// What a load asks, prepared for loads of all sizes.
pub(super) struct Statements([String; PREPARED_READS.len()]);

impl Statements {
    /// From what makes a statement of the rows wanted: each a number in the order of the load, and four parameters.
    pub(super) fn new(sql: impl Fn(&str) -> String) -> Self {
        Self(PREPARED_READS.map(|reads| {
            let rows: Vec<String> = (0..reads).map(|number| format!("({number},?,?,?,?)")).collect();
            sql(&rows.join(","))
        }))
    }

    /// The statement for so many reads, at most [`READS_PER_LOAD`].
    pub(super) fn of(&self, reads: usize) -> &str {
        &self.0[PREPARED_READS.partition_point(|prepared| *prepared < reads)]
    }
}

/// A kind of read that can be made for several at once.
#[async_trait]
pub(super) trait Load: Debug + Send + Sync + 'static {
    /// What one asks for.
    type Wanted: Send;
    /// What one is told.
    type Found: Send;

    /// Reads for all, at most [`READS_PER_LOAD`] and at least one, and answers in their order.
    async fn load(&self, wanted: Vec<Self::Wanted>) -> Vec<Result<Self::Found, StoreError>>;
}

/// Where reads of one kind meet.
#[derive(Debug)]
pub(super) struct Loads<L: Load> {
    queue: Arc<Queue<L>>,
    /// Where loaders run, whoever asks: one that shared a thread with code that loops would hold up everybody.
    home: Handle,
}

#[derive(Debug)]
struct Queue<L: Load> {
    load: L,
    places: Semaphore,
    state: Mutex<State<L>>,
}

struct State<L: Load> {
    waiting: VecDeque<Read<L>>,
    loaders: usize,
}

struct Read<L: Load> {
    wanted: L::Wanted,
    answer: oneshot::Sender<Result<L::Found, StoreError>>,
}

impl<L: Load> Loads<L> {
    pub(super) fn new(load: L) -> Self {
        let state = State { waiting: VecDeque::new(), loaders: 0 };
        let queue = Arc::new(Queue { load, places: Semaphore::new(WAITING), state: Mutex::new(state) });
        Self { queue, home: Handle::current() }
    }

    /// Reads, together with whoever asks at the same time. Nothing is waited for but a loader: one alone goes at once.
    ///
    /// It sees everything that was durable before it was called: a load takes those that have asked, and its statement
    /// starts after.
    pub(super) async fn read(&self, wanted: L::Wanted) -> Result<L::Found, StoreError> {
        // Nobody closes it.
        if let Ok(place) = self.queue.places.acquire().await {
            // Until a loader has taken the read, also if nobody waits for it any more.
            place.forget();
        }
        let (answer, answered) = oneshot::channel();
        if self.queue.push(Read { wanted, answer }) {
            self.home.spawn(Loader { queue: Arc::clone(&self.queue), has_ended: false }.run());
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the load was broken off".to_owned())))
    }
}

impl<L: Load> Queue<L> {
    fn state(&self) -> MutexGuard<'_, State<L>> {
        // Nothing below panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more loader is needed; then it counts already.
    fn push(&self, read: Read<L>) -> bool {
        let mut state = self.state();
        state.waiting.push_back(read);
        let needed = state.loaders < LOADERS;
        state.loaders += usize::from(needed);
        needed
    }
}

/// A task that loads until nothing waits.
struct Loader<L: Load> {
    queue: Arc<Queue<L>>,
    has_ended: bool,
}

impl<L: Load> Loader<L> {
    async fn run(mut self) {
        loop {
            // Who can run asks first, and goes along.
            yield_to_ready_tasks().await;
            let Some(reads) = self.take() else { return };
            // Those who have gone need not be asked for.
            let reads = reads.into_iter().filter(|read| !read.answer.is_closed());
            let (wanted, answers): (Vec<_>, Vec<_>) = reads.map(|read| (read.wanted, read.answer)).unzip();
            if wanted.is_empty() {
                continue;
            }
            let found = self.queue.load.load(wanted).await;
            for (answer, found) in answers.into_iter().zip(found) {
                // Whoever asked may have gone meanwhile.
                let _gone = answer.send(found);
            }
        }
    }

    /// The reads of the next load; `None` at the end.
    fn take(&mut self) -> Option<Vec<Read<L>>> {
        let mut state = self.queue.state();
        let taken = state.waiting.len().min(READS_PER_LOAD);
        if taken == 0 {
            // Under the same lock: who asks from now on starts another.
            state.loaders -= 1;
            self.has_ended = true;
            return None;
        }
        let reads = state.waiting.drain(..taken).collect();
        drop(state);
        self.queue.places.add_permits(taken);
        Some(reads)
    }
}

impl<L: Load> Drop for Loader<L> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        // A panic, or the end of the runtime. Nobody may be left waiting for a loader that is not there.
        let mut state = self.queue.state();
        state.loaders -= 1;
        let abandoned = std::mem::take(&mut state.waiting);
        drop(state);
        self.queue.places.add_permits(abandoned.len());
    }
}

impl<L: Load> Debug for State<L> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut state = formatter.debug_struct("State");
        state.field("waiting", &self.waiting.len()).field("loaders", &self.loaders).finish()
    }
}

//! The store itself: the orders it takes, and what it tells.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dormouse_journal::store::{Memory, Retention};
use dormouse_journal::{Snapshot, Store, StoreError};
use dormouse_kernel::Version;
use tokio::sync::{Semaphore, watch};

use crate::fault::Fault;
use crate::gate::{Gate, GateGuard};
use crate::plan::{Call, Plan};
use crate::record::{CallRecord, Read};

/// In memory, snapshots are kept: a test wants to see them.
const KEEPS_ALL: Retention = Retention { keep_count: 1000, max_age: Duration::from_secs(1 << 30), keep_sparse: 0 };

/// A store that does what the one inside it does, and gets into trouble when a test wants it to.
///
/// Instructions to commits apply first come, first served: a fault from [`script`](Self::script) or
/// [`fail_next_commit`](Self::fail_next_commit) comes before what the plan says. A store that is down refuses
/// commits, except those whose answer gets lost anyway.
///
/// Dropping a call's future before it has happened leaves nothing behind.
pub struct Faulty {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) stays_open: bool,
    pub(crate) instructions: Mutex<Instructions>,
    pub(crate) record: Mutex<CallRecord>,
    pub(crate) commit_gate: Gate,
    pub(crate) read_gate: Gate,
    pub(crate) ping_gate: Gate,
    arrived: Semaphore,
    failing_acquisitions: AtomicUsize,
    is_down: AtomicBool,
    crashed: watch::Sender<bool>,
}

pub(crate) type Tamper = Box<dyn Fn(&mut Snapshot) + Send>;

#[derive(Default)]
pub(crate) struct Instructions {
    faults: VecDeque<Fault>,
    plan: Option<Box<dyn Plan>>,
    pub(crate) slowness: Duration,
    pub(crate) tamper: Option<Tamper>,
}

impl Faulty {
    /// Stands before `store`, and closes it when it is closed.
    #[must_use]
    pub fn over(store: Arc<dyn Store>) -> Arc<Self> {
        Self::new(store, false)
    }

    /// Stands before `store`, and leaves it open when it is closed, for whoever comes next.
    #[must_use]
    pub fn beside(store: Arc<dyn Store>) -> Arc<Self> {
        Self::new(store, true)
    }

    /// Keeps everything in memory, and stays open when it is closed: one journal after another can start on it.
    #[must_use]
    pub fn in_memory() -> Arc<Self> {
        Self::new(Arc::new(Memory::new(KEEPS_ALL)), true)
    }

    fn new(inner: Arc<dyn Store>, stays_open: bool) -> Arc<Self> {
        Arc::new(Self {
            inner,
            stays_open,
            instructions: Mutex::default(),
            record: Mutex::default(),
            commit_gate: Gate::default(),
            read_gate: Gate::default(),
            ping_gate: Gate::default(),
            arrived: Semaphore::new(0),
            failing_acquisitions: AtomicUsize::new(0),
            is_down: AtomicBool::new(false),
            crashed: watch::Sender::new(false),
        })
    }

    /// What is inside, as it is: nothing that is asked there fails or is counted.
    #[must_use]
    pub fn inner(&self) -> &Arc<dyn Store> {
        &self.inner
    }

    // Instructions

    /// What the next commit runs into, after those that were ordered before.
    pub fn fail_next_commit(&self, fault: Fault) {
        self.script([fault]);
    }

    /// What the next commits run into, one after the other.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.instructions().faults.extend(faults);
    }

    /// Lets a plan decide about every call from now on.
    pub fn follow(&self, plan: impl Plan + 'static) {
        self.instructions().plan = Some(Box::new(plan));
    }

    /// How long a commit takes from now on, at least.
    pub fn slow(&self, every_commit: Duration) {
        self.instructions().slowness = every_commit;
    }

    /// It does not answer any more, until it comes back.
    pub fn go_down(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    /// It answers again.
    pub fn come_back(&self) {
        self.is_down.store(false, Ordering::SeqCst);
    }

    /// Lets the next acquisitions fail.
    pub fn fail_acquisitions(&self, count: usize) {
        self.failing_acquisitions.store(count, Ordering::SeqCst);
    }

    /// What is done to every snapshot that is read from now on.
    pub fn tamper_with_snapshots(&self, tamper: impl Fn(&mut Snapshot) + Send + 'static) {
        self.instructions().tamper = Some(Box::new(tamper));
    }

    /// Holds up commits until the guard is dropped, and forgets about those that arrived before.
    pub fn hold_commits(&self) -> GateGuard {
        self.arrived.forget_permits(Semaphore::MAX_PERMITS);
        self.commit_gate.hold()
    }

    /// Holds up the reading of aggregates until the guard is dropped.
    pub fn hold_reads(&self) -> GateGuard {
        self.read_gate.hold()
    }

    /// Holds up the question for the head, by which one asks whether a store answers at all, until the guard is dropped.
    pub fn hold_pings(&self) -> GateGuard {
        self.ping_gate.hold()
    }

    /// Waits for the next commit to arrive, be it held up or not.
    pub async fn commit_arrives(&self) {
        if let Ok(arrival) = self.arrived.acquire().await {
            arrival.forget();
        }
    }

    /// Waits until it went down for good, in the middle of a commit.
    pub async fn crashes(&self) {
        let mut crashed = self.crashed.subscribe();
        // The sender is `self`: this ends with a crash only.
        drop(crashed.wait_for(|crashed| *crashed).await);
    }

    // What it saw

    /// Commits that went through.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.record().batches.len()
    }

    /// Appends in each of them.
    #[must_use]
    pub fn batches(&self) -> Vec<usize> {
        self.record().batches.clone()
    }

    /// How often a command key was looked for.
    #[must_use]
    pub fn look_ups(&self) -> usize {
        self.record().look_ups
    }

    /// Which aggregates' events were read.
    #[must_use]
    pub fn reads(&self) -> Vec<Read> {
        self.record().reads.clone()
    }

    /// Counts reads anew.
    pub fn forget_reads(&self) {
        self.record().reads.clear();
    }

    /// The versions of an aggregate that were snapshotted, in the order of writing.
    #[must_use]
    pub fn snapshots(&self, id: &str) -> Vec<u64> {
        self.record().snapshots.iter().filter(|(saved, _)| saved == id).map(|(_, version)| version.0).collect()
    }

    /// How many snapshots were written, of all aggregates.
    #[must_use]
    pub fn snapshotted(&self) -> usize {
        self.record().snapshots.len()
    }

    /// What must never be asked of a store, and was: a snapshot of what is not durable.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.record().violations.clone()
    }

    // What the calls need

    pub(crate) fn instructions(&self) -> MutexGuard<'_, Instructions> {
        self.instructions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, CallRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn arrives(&self) {
        self.arrived.add_permits(1);
    }

    pub(crate) fn crash(&self) {
        self.go_down();
        self.crashed.send_replace(true);
    }

    /// Whether it answers. What crashed never comes back.
    pub(crate) fn answers(&self) -> Result<(), StoreError> {
        let is_down = self.is_down.load(Ordering::SeqCst) || *self.crashed.borrow();
        if is_down { Err(StoreError::Unavailable("it is down".to_owned())) } else { Ok(()) }
    }

    /// The fault of the next commit, after so many turns given to other tasks.
    pub(crate) fn next_fault(&self, batch: &[dormouse_journal::store::Placed]) -> (u64, Fault) {
        let mut instructions = self.instructions();
        let planned = instructions.plan.as_mut().map_or((0, Fault::None), |plan| plan.commit(batch));
        instructions.faults.pop_front().map_or(planned, |ordered| (planned.0, ordered))
    }

    /// Disturbs a call as planned.
    pub(crate) async fn disturb(&self, call: Call) -> Result<(), StoreError> {
        let planned = self.instructions().plan.as_mut().map(|plan| plan.call(call));
        if let Some(planned) = planned {
            give_way(planned.yields).await;
            wait(planned.delay).await;
            if planned.fails {
                return Err(StoreError::Unavailable("as planned".to_owned()));
            }
        }
        self.answers()
    }

    pub(crate) fn acquisition_fails(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        self.failing_acquisitions.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }

    pub(crate) fn saw_read(&self, id: &str, after: Version) {
        self.record().reads.push(Read { id: id.to_owned(), after });
    }
}

/// Lets other tasks go first.
pub(crate) async fn give_way(turns: u64) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// Not even a turn for no time: a call that is not slow must not touch the timer.
pub(crate) async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Faulty")
            .field("over", &self.inner)
            .field("record", &*self.record())
            .finish_non_exhaustive()
    }
}

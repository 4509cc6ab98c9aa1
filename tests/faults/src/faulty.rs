//! The store, the instructions that it takes, and what it records.

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

/// In memory, all snapshots are kept, because tests look at them.
const KEEPS_ALL: Retention = Retention { keep_count: 1000, max_age: Duration::from_secs(1 << 30), keep_sparse: 0 };

/// A store that forwards to an inner store, and fails when a test wants it to.
///
/// Commits follow the instructions in their order. A fault from [`script`](Self::script) or
/// [`fail_next_commit`](Self::fail_next_commit) comes before the fault of the plan. A store that is down refuses
/// commits, except those whose answer is lost anyway.
///
/// If the future of a call is dropped before the call has happened, nothing happens.
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
    /// Forwards to `store`, and closes it when this store is closed.
    #[must_use]
    pub fn over(store: Arc<dyn Store>) -> Arc<Self> {
        Self::new(store, false)
    }

    /// Forwards to `store`, and leaves it open for the next user when this store is closed.
    #[must_use]
    pub fn beside(store: Arc<dyn Store>) -> Arc<Self> {
        Self::new(store, true)
    }

    /// Keeps everything in memory, also after it is closed: one journal after another can start on it.
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

    /// The inner store. Calls to it do not fail and are not counted.
    #[must_use]
    pub fn inner(&self) -> &Arc<dyn Store> {
        &self.inner
    }

    // Instructions

    /// Sets the fault of the next commit that has none yet.
    pub fn fail_next_commit(&self, fault: Fault) {
        self.script([fault]);
    }

    /// Sets the faults of the next commits, one after the other.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.instructions().faults.extend(faults);
    }

    /// From now on, a plan decides about every call.
    pub fn follow(&self, plan: impl Plan + 'static) {
        self.instructions().plan = Some(Box::new(plan));
    }

    /// Sets the minimum time of every commit from now on.
    pub fn slow(&self, every_commit: Duration) {
        self.instructions().slowness = every_commit;
    }

    /// From now on it does not answer, until it comes back.
    pub fn go_down(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    /// It answers again.
    pub fn come_back(&self) {
        self.is_down.store(false, Ordering::SeqCst);
    }

    /// The next acquisitions fail.
    pub fn fail_acquisitions(&self, count: usize) {
        self.failing_acquisitions.store(count, Ordering::SeqCst);
    }

    /// Changes every snapshot that is read from now on.
    pub fn tamper_with_snapshots(&self, tamper: impl Fn(&mut Snapshot) + Send + 'static) {
        self.instructions().tamper = Some(Box::new(tamper));
    }

    /// Holds commits until the guard is dropped, and forgets the commits that arrived before.
    pub fn hold_commits(&self) -> GateGuard {
        self.arrived.forget_permits(Semaphore::MAX_PERMITS);
        self.commit_gate.hold()
    }

    /// Holds reads of aggregates until the guard is dropped.
    pub fn hold_reads(&self) -> GateGuard {
        self.read_gate.hold()
    }

    /// Holds reads of the head, by which callers check whether a store answers, until the guard is dropped.
    pub fn hold_pings(&self) -> GateGuard {
        self.ping_gate.hold()
    }

    /// Waits for the next commit to arrive, whether it is held or not.
    pub async fn commit_arrives(&self) {
        if let Ok(arrival) = self.arrived.acquire().await {
            arrival.forget();
        }
    }

    /// Waits until the store went down for good during a commit.
    pub async fn crashes(&self) {
        let mut crashed = self.crashed.subscribe();
        // The sender is `self`, so this ends only with a crash.
        drop(crashed.wait_for(|crashed| *crashed).await);
    }

    // What it has recorded

    /// The number of commits that succeeded.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.record().batches.len()
    }

    /// The number of appends in each of them.
    #[must_use]
    pub fn batches(&self) -> Vec<usize> {
        self.record().batches.clone()
    }

    /// The number of lookups of command keys.
    #[must_use]
    pub fn look_ups(&self) -> usize {
        self.record().look_ups
    }

    /// The reads of aggregates' events.
    #[must_use]
    pub fn reads(&self) -> Vec<Read> {
        self.record().reads.clone()
    }

    /// Forgets the reads so far.
    pub fn forget_reads(&self) {
        self.record().reads.clear();
    }

    /// The versions of an aggregate's snapshots, in the order of writing.
    #[must_use]
    pub fn snapshots(&self, id: &str) -> Vec<u64> {
        self.record().snapshots.iter().filter(|(saved, _)| saved == id).map(|(_, version)| version.0).collect()
    }

    /// The number of snapshots of all aggregates that were written.
    #[must_use]
    pub fn snapshotted(&self) -> usize {
        self.record().snapshots.len()
    }

    /// The writes that must never happen: snapshots of states that are not durable.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.record().violations.clone()
    }

    // For the calls

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

    /// Whether it answers. A store that crashed never comes back.
    pub(crate) fn answers(&self) -> Result<(), StoreError> {
        let is_down = self.is_down.load(Ordering::SeqCst) || *self.crashed.borrow();
        if is_down { Err(StoreError::Unavailable("it is down".to_owned())) } else { Ok(()) }
    }

    /// The number of yields to other tasks before the next commit, and its fault.
    pub(crate) fn next_fault(&self, batch: &[dormouse_journal::store::Placed]) -> (u64, Fault) {
        let mut instructions = self.instructions();
        let planned = instructions.plan.as_mut().map_or((0, Fault::None), |plan| plan.commit(batch));
        instructions.faults.pop_front().map_or(planned, |ordered| (planned.0, ordered))
    }

    /// Does to a call what the plan says.
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

/// Yields to other tasks.
pub(crate) async fn give_way(turns: u64) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// Does not touch the timer for a zero time, so a call that is not slow does not yield.
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

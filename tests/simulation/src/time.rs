//! One clock for all lives of a run. It stands still while a task can run, and jumps to the next timer when none can.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_kernel::{Clock, IdSource, Timestamp, Uuid};
use tokio::time::Instant;

/// The start of all runs, in microseconds since 1970.
const BEGINNING: i64 = 1_800_000_000_000_000;

/// Milliseconds since the start of the run. Tokio's timers have the same resolution.
#[derive(Clone, Debug, Default)]
pub(crate) struct Time(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// The time before this life.
    before: AtomicU64,
    /// The start of this life on the clock of its own runtime.
    life: Mutex<Option<Instant>>,
}

impl Time {
    /// Starts a life. Must be called inside its runtime.
    pub(crate) fn begin_life(&self) {
        *self.0.life.lock().unwrap() = Some(Instant::now());
    }

    /// Ends a life. Must be called inside its runtime.
    pub(crate) fn end_life(&self) {
        let now = self.now();
        *self.0.life.lock().unwrap() = None;
        self.0.before.store(now, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> u64 {
        let life = *self.0.life.lock().unwrap();
        let lived = life.map_or(Duration::ZERO, |began| began.elapsed());
        self.0.before.load(Ordering::SeqCst) + u64::try_from(lived.as_millis()).unwrap()
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        let microseconds = i64::try_from(Self::now(self) * 1000).unwrap();
        Timestamp::from_microsecond(BEGINNING + microseconds).unwrap()
    }
}

/// Ids that are unique in the run.
#[derive(Debug)]
pub(crate) struct Ids {
    node: u64,
    given: AtomicU64,
}

impl Ids {
    pub(crate) fn of_node(node: usize) -> Self {
        Self { node: node as u64 + 1, given: AtomicU64::new(0) }
    }
}

impl IdSource for Ids {
    fn next(&self, _now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(self.node, self.given.fetch_add(1, Ordering::SeqCst))
    }
}

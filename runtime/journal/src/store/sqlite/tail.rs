//! The tail: the events that are not indexed yet, in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dormouse_kernel::{AggregateRef, CommandKey, Position, Version};
use tokio::sync::Notify;

use crate::append::Placed;

/// Appends that are removed under one lock: a reader or a commit never waits for more.
const PRUNED_AT_ONCE: usize = 1024;

/// The age at which an event is indexed at the latest, so that a quiet journal has little to read after a crash.
const AGE: Duration = Duration::from_secs(10);

/// The limits of the tail. Past them commits wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// All events from the watermark of the index to the end of the log, while this process owns the log.
///
/// Appends are added when they are committed, and removed once they are indexed. A reader that reads the tail first and
/// the index afterwards misses nothing.
#[derive(Debug)]
pub(super) struct Tail {
    bound: Bound,
    state: Mutex<State>,
    /// Wakes the indexer to check when it is due.
    changed: Notify,
    /// Wakes commits that wait for room.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// This process owns the log, and the tail has all that the index lacks.
    current: bool,
    end: Position,
    order: VecDeque<(Placed, Instant)>,
    aggregates: HashMap<AggregateRef, VecDeque<Placed>>,
    commands: HashMap<(AggregateRef, CommandKey), Version>,
    events: usize,
    bytes: usize,
}

/// When the indexer should start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Now,
    At(Instant),
    Never,
}

/// The events of an aggregate in the tail, after some version.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// The version before the first append in the tail. The index has the events up to it. `None`: the index has all
    /// events.
    pub(super) start: Option<Version>,
    /// The appends, in order. The first one may begin before the wanted version.
    pub(super) appends: Vec<Placed>,
}

impl Tail {
    pub(super) fn new(bound: Bound) -> Self {
        Self { bound, state: Mutex::default(), changed: Notify::new(), room: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave a change half made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empties the tail, which then begins after a position. It is not [current](Self::is_current) until
    /// [`complete`](Self::complete).
    pub(super) fn restart(&self, end: Position) {
        let before = std::mem::replace(&mut *self.state(), State { end, ..State::default() });
        drop(before);
        self.room.notify_waiters();
    }

    /// Notes that the tail has all that the index lacks.
    pub(super) fn complete(&self) {
        self.state().current = true;
    }

    /// Notes that the log has another owner, so that the tail no longer has all that the index lacks.
    pub(super) fn retire(&self) {
        let end = self.end();
        self.restart(end);
    }

    pub(super) fn is_current(&self) -> bool {
        self.state().current
    }

    /// The position before the first append in the tail.
    pub(super) fn start(&self) -> Position {
        let state = self.state();
        state.order.front().map_or(state.end, |(placed, _)| Position(placed.first.0 - 1))
    }

    /// The last position that is, or was, in the tail.
    pub(super) fn end(&self) -> Position {
        self.state().end
    }

    /// Adds a commit.
    pub(super) fn push(&self, batch: &[Placed]) {
        let now = Instant::now();
        let mut state = self.state();
        let was_empty = state.order.is_empty();
        for placed in batch {
            state.push(placed, now);
        }
        let notify = was_empty || state.is_half_of(self.bound);
        drop(state);
        if notify {
            self.changed.notify_one();
        }
    }

    /// Removes the appends that are indexed.
    pub(super) fn prune(&self, indexed: Position) {
        loop {
            let mut pruned = Vec::with_capacity(PRUNED_AT_ONCE);
            let mut state = self.state();
            while pruned.len() < PRUNED_AT_ONCE
                && let Some(placed) = state.pop(indexed)
            {
                pruned.push(placed);
            }
            drop(state);
            if pruned.is_empty() {
                return;
            }
            self.room.notify_waiters();
        }
    }

    /// The version of each aggregate, if the tail has it. `None` if the tail is not current.
    pub(super) fn versions(&self, aggregates: &[AggregateRef]) -> Option<Vec<Option<Version>>> {
        let state = self.state();
        let last = |aggregate| Some(state.aggregates.get(aggregate)?.back()?.append.last_version());
        state.current.then(|| aggregates.iter().map(last).collect())
    }

    /// The version of the first event of the command with this key, if the tail has it. `None` if the tail is not
    /// current.
    pub(super) fn command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Option<Option<Version>> {
        let command = (aggregate.clone(), key.clone());
        let state = self.state();
        state.current.then(|| state.commands.get(&command).copied())
    }

    /// The appends of an aggregate with events after a version, at most `limit`. `None` if the tail is not current.
    pub(super) fn appends(&self, aggregate: &AggregateRef, after: Version, limit: usize) -> Option<Part> {
        let state = self.state();
        if !state.current {
            return None;
        }
        let Some(appends) = state.aggregates.get(aggregate) else { return Some(Part::default()) };
        let first = appends.partition_point(|placed| placed.append.last_version() <= after);
        Some(Part {
            start: appends.front().map(|placed| placed.append.expected),
            // Each has at least one event.
            appends: appends.range(first..).take(limit).cloned().collect(),
        })
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.state().is_half_of(self.bound)
    }

    /// Waits until the tail has room for a commit.
    pub(super) async fn has_room(&self) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registered before the check, so that no notification is missed in between.
            room.as_mut().enable();
            if !self.state().is_over(self.bound) {
                return;
            }
            room.await;
        }
    }

    /// Waits until the tail has enough events, or an event that is old enough, to index.
    pub(super) async fn is_due(&self) {
        loop {
            let due = self.state().due(self.bound);
            match due {
                Due::Now => return,
                Due::At(time) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(time.into()) => {}
                        () = self.changed.notified() => {}
                    }
                }
                Due::Never => self.changed.notified().await,
            }
        }
    }
}

impl State {
    fn push(&mut self, placed: &Placed, now: Instant) {
        let append = &placed.append;
        if let Some(key) = append.command_key() {
            self.commands.insert((append.aggregate.clone(), key.clone()), append.expected.next());
        }
        self.aggregates.entry(append.aggregate.clone()).or_default().push_back(placed.clone());
        self.events += append.events.len();
        self.bytes += append.size_bytes();
        self.end = placed.last();
        self.order.push_back((placed.clone(), now));
    }

    fn pop(&mut self, indexed: Position) -> Option<Placed> {
        self.order.front().filter(|(placed, _)| placed.last() <= indexed)?;
        let (placed, _) = self.order.pop_front()?;
        let append = &placed.append;
        if let Some(appends) = self.aggregates.get_mut(&append.aggregate) {
            // Both queues are in the order of the log.
            appends.pop_front();
            if appends.is_empty() {
                self.aggregates.remove(&append.aggregate);
            }
        }
        if let Some(key) = append.command_key() {
            self.commands.remove(&(append.aggregate.clone(), key.clone()));
        }
        self.events -= append.events.len();
        self.bytes -= append.size_bytes();
        Some(placed)
    }

    fn is_over(&self, bound: Bound) -> bool {
        self.events >= bound.events || self.bytes >= bound.bytes
    }

    fn is_half_of(&self, bound: Bound) -> bool {
        self.is_over(Bound { events: bound.events.div_ceil(2), bytes: bound.bytes.div_ceil(2) })
    }

    fn due(&self, bound: Bound) -> Due {
        match self.order.front() {
            None => Due::Never,
            Some(_) if self.is_half_of(bound) => Due::Now,
            Some((_, since)) if since.elapsed() >= AGE => Due::Now,
            Some((_, since)) => Due::At(*since + AGE),
        }
    }
}

//! The jobs of a consumer that are in memory, by sequence: pure bookkeeping of what may run next.
//!
//! Jobs of one sequence run one after another, in order. A sequence whose jobs are in the store is *held*: its new
//! events are stored behind them, and its jobs come here in pages.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use dormouse_kernel::{AggregateRef, RecordedEvent, Slice};

use crate::store::{JobId, JobRow, JobState};

#[derive(Debug, Default)]
pub(super) struct Sequences {
    by_aggregate: HashMap<AggregateRef, Sequence>,
    /// The sequences whose first job may start, in the order in which they became so.
    ready: VecDeque<AggregateRef>,
    /// All jobs, those that run included.
    count: usize,
}

#[derive(Debug, Default)]
struct Sequence {
    entries: VecDeque<Entry>,
    is_held: bool,
}

/// A job in memory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: JobId,
    /// `None`: the event must be read from the log.
    pub(super) event: Option<Arc<RecordedEvent>>,
    /// What the store has of the job.
    pub(super) row: Option<JobRow>,
}

/// What becomes of a sequence after a job has left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Its next job may start. If the store has that job, this is what it has.
    Next(Option<Box<JobRow>>),
    /// Its next jobs may be in the store.
    InStore,
    /// It has no more jobs.
    Nothing,
}

impl Entry {
    /// The job of an event that was read now.
    pub(super) fn of_event(event: RecordedEvent) -> Self {
        Self { id: JobId { position: event.position, part: 0 }, event: Some(Arc::new(event)), row: None }
    }

    fn of_row(row: JobRow) -> Self {
        Self { id: row.id, event: None, row: Some(row) }
    }

    /// The row of a job that was not attempted yet.
    pub(super) fn to_row(&self, state: JobState, attempts_allowed: u32) -> Option<JobRow> {
        match (&self.row, &self.event) {
            (Some(row), _) => Some(JobRow { state, ..row.clone() }),
            (None, Some(event)) => Some(JobRow {
                id: self.id,
                sequence: event.aggregate.clone(),
                version: event.version,
                subject: event.event.event_type.to_string(),
                state,
                attempts: Vec::new(),
                attempts_allowed,
                payload: None,
            }),
            (None, None) => None,
        }
    }
}

impl Sequences {
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// How many sequences have a job that may start.
    pub(super) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn contains(&self, sequence: &AggregateRef) -> bool {
        self.by_aggregate.contains_key(sequence)
    }

    /// Whether the sequence is in memory, and its newer jobs are in the store.
    pub(super) fn is_held(&self, sequence: &AggregateRef) -> bool {
        self.by_aggregate.get(sequence).is_some_and(|sequence| sequence.is_held)
    }

    /// Adds the job of a new event. The sequence must not be held.
    pub(super) fn push(&mut self, event: RecordedEvent) {
        let aggregate = event.aggregate.clone();
        let sequence = self.by_aggregate.entry(aggregate.clone()).or_default();
        if sequence.entries.is_empty() {
            self.ready.push_back(aggregate);
        }
        sequence.entries.push_back(Entry::of_event(event));
        self.count += 1;
    }

    /// Adds jobs of a held sequence, which has none in memory, in order.
    pub(super) fn load(&mut self, sequence: &AggregateRef, rows: Vec<JobRow>) {
        if rows.is_empty() {
            self.by_aggregate.remove(sequence);
            return;
        }
        self.count += rows.len();
        let entries = rows.into_iter().map(Entry::of_row).collect();
        self.by_aggregate.insert(sequence.clone(), Sequence { entries, is_held: true });
        self.ready.push_back(sequence.clone());
    }

    /// The next job that may start. It stays the first of its sequence while it runs.
    pub(super) fn start(&mut self) -> Option<(AggregateRef, Entry)> {
        let aggregate = self.ready.pop_front()?;
        let first = self.by_aggregate.get(&aggregate)?.entries.front()?.clone();
        Some((aggregate, first))
    }

    /// The first job of the sequence could not be attempted. It is the next one to start.
    pub(super) fn give_back(&mut self, sequence: &AggregateRef) {
        self.ready.push_front(sequence.clone());
    }

    /// Removes the first job of a sequence, which has ended.
    pub(super) fn pop(&mut self, aggregate: &AggregateRef) -> Rest {
        let Some(sequence) = self.by_aggregate.get_mut(aggregate) else { return Rest::Nothing };
        self.count -= usize::from(sequence.entries.pop_front().is_some());
        match (sequence.entries.front(), sequence.is_held) {
            (Some(next), _) => {
                self.ready.push_back(aggregate.clone());
                Rest::Next(next.row.clone().map(Box::new))
            }
            (None, true) => Rest::InStore,
            (None, false) => {
                self.by_aggregate.remove(aggregate);
                Rest::Nothing
            }
        }
    }

    /// The store has jobs of a sequence that is in memory: its new events are stored behind them.
    pub(super) fn hold(&mut self, aggregate: &AggregateRef) {
        if let Some(sequence) = self.by_aggregate.get_mut(aggregate) {
            sequence.is_held = true;
        }
    }

    /// Removes a sequence and returns its jobs: the first one has failed, and the others wait behind it.
    pub(super) fn remove(&mut self, aggregate: &AggregateRef) -> VecDeque<Entry> {
        let entries = self.by_aggregate.remove(aggregate).map(|sequence| sequence.entries).unwrap_or_default();
        self.count -= entries.len();
        entries
    }

    /// Removes all jobs that are only in memory and do not run, and returns their events' places.
    pub(super) fn drop_ready(&mut self, runs: impl Fn(&AggregateRef) -> bool) -> Vec<(JobId, Slice)> {
        let mut dropped = Vec::new();
        for (aggregate, sequence) in &mut self.by_aggregate {
            let kept = usize::from(runs(aggregate));
            for entry in sequence.entries.drain(kept.min(sequence.entries.len())..) {
                self.count -= 1;
                if entry.row.is_none() {
                    dropped.push((entry.id, aggregate.slice()));
                }
            }
        }
        self.by_aggregate.retain(|_, sequence| !sequence.entries.is_empty());
        self.ready.clear();
        dropped
    }
}

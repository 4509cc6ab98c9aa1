//! The jobs of one consumer in memory, with what finds them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use dormouse_kernel::{AggregateRef, Timestamp};

use crate::store::row::to_microsecond;
use crate::store::{JobCounts, JobId, JobRow, JobState, JobStateName};

#[derive(Debug, Default)]
pub(super) struct Jobs {
    by_id: BTreeMap<JobId, JobRow>,
    by_state: HashMap<JobStateName, BTreeSet<JobId>>,
    by_sequence: HashMap<AggregateRef, BTreeSet<JobId>>,
    waiting: BTreeSet<(Timestamp, JobId)>,
}

impl Jobs {
    pub(super) fn put(&mut self, job: &JobRow) {
        self.remove(job.id);
        let mut job = job.clone();
        if let JobState::Waiting { due } = &mut job.state {
            *due = to_microsecond(*due);
            self.waiting.insert((*due, job.id));
        }
        self.by_state.entry(job.state.name()).or_default().insert(job.id);
        self.by_sequence.entry(job.sequence.clone()).or_default().insert(job.id);
        self.by_id.insert(job.id, job);
    }

    pub(super) fn remove(&mut self, id: JobId) {
        let Some(job) = self.by_id.remove(&id) else { return };
        if let JobState::Waiting { due } = job.state {
            self.waiting.remove(&(due, id));
        }
        if let Some(same) = self.by_state.get_mut(&job.state.name()) {
            same.remove(&id);
        }
        if let Some(same) = self.by_sequence.get_mut(&job.sequence) {
            same.remove(&id);
            if same.is_empty() {
                self.by_sequence.remove(&job.sequence);
            }
        }
    }

    pub(super) fn get(&self, id: JobId) -> Option<JobRow> {
        self.by_id.get(&id).cloned()
    }

    pub(super) fn holds(&self, sequence: &AggregateRef, dead_too: bool) -> bool {
        let counts = |id| dead_too || self.by_id.get(id).is_some_and(|job| job.state != JobState::Dead);
        self.by_sequence.get(sequence).is_some_and(|ids| ids.iter().any(counts))
    }

    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<JobRow> {
        let due = self.waiting.iter().take_while(|(due, _)| *due <= now);
        due.take(limit).filter_map(|(_, id)| self.get(*id)).collect()
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(due, _)| *due)
    }

    pub(super) fn of_sequence(&self, sequence: &AggregateRef, after: Option<JobId>, limit: usize) -> Vec<JobRow> {
        self.page(self.by_sequence.get(sequence), after, limit)
    }

    pub(super) fn in_state(&self, state: JobStateName, after: Option<JobId>, limit: usize) -> Vec<JobRow> {
        self.page(self.by_state.get(&state), after, limit)
    }

    pub(super) fn counts(&self) -> JobCounts {
        let count = |state| self.by_state.get(&state).map_or(0, BTreeSet::len) as u64;
        JobCounts {
            waiting: count(JobStateName::Waiting),
            blocked: count(JobStateName::Blocked),
            dead: count(JobStateName::Dead),
        }
    }

    fn page(&self, ids: Option<&BTreeSet<JobId>>, after: Option<JobId>, limit: usize) -> Vec<JobRow> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = ids.into_iter().flat_map(|ids| ids.range((after, Bound::Unbounded)));
        ids.take(limit).filter_map(|id| self.get(*id)).collect()
    }
}

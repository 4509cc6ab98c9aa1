//! What changes come to: each key at most once. So their parts can be written in any order, and in one statement.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_kernel::{AggregateRef, Position, TimerName};

use super::{Changes, JobId, JobRow, ShardProgress, TimerRow};

/// [`Changes`] without what they themselves replace or remove. Rows are sorted by their keys.
pub(super) struct NetChanges<'c> {
    pub(super) progress: Vec<&'c ShardProgress>,
    /// The numbers of shards whose progress stays. If it is empty, all progress stays.
    pub(super) kept_shards: BTreeSet<u16>,
    pub(super) done: BTreeSet<Position>,
    pub(super) forget_done: &'c [Position],
    pub(super) put: Vec<&'c JobRow>,
    pub(super) remove: &'c [JobId],
    pub(super) set_timers: Vec<&'c TimerRow>,
    pub(super) remove_timers: &'c [(AggregateRef, TimerName)],
}

impl<'c> NetChanges<'c> {
    pub(super) fn of(changes: &'c Changes) -> Self {
        let Changes { progress, forget_other_shards, done, forget_done, put, remove, set_timers, remove_timers } =
            changes;
        let kept_shards = progress.iter().filter(|_| *forget_other_shards).map(|one| one.shards).collect();
        let forgotten: BTreeSet<&Position> = forget_done.iter().collect();
        let removed: BTreeSet<JobId> = remove.iter().copied().collect();
        let unset: BTreeSet<_> = remove_timers.iter().map(|(aggregate, name)| (aggregate, name)).collect();
        Self {
            progress: last_of_each(progress, |one| (one.shards, one.shard), &BTreeSet::new()),
            kept_shards,
            done: done.iter().filter(|position| !forgotten.contains(position)).copied().collect(),
            forget_done,
            put: last_of_each(put, |job| job.id, &removed),
            remove,
            set_timers: last_of_each(set_timers, |timer| (&timer.place.aggregate, &timer.place.name), &unset),
            remove_timers,
        }
    }
}

/// The last item of each key, except for keys that are gone.
fn last_of_each<'c, T, K: Ord>(items: &'c [T], key: impl Fn(&'c T) -> K, gone: &BTreeSet<K>) -> Vec<&'c T> {
    let last: BTreeMap<K, &T> = items.iter().map(|item| (key(item), item)).collect();
    last.into_iter().filter(|(key, _)| !gone.contains(key)).map(|(_, item)| item).collect()
}

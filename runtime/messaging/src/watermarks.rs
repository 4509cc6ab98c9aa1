//! How far a consumer has come in each shard, in memory: pure bookkeeping between the feed and the store.

use std::collections::{BTreeSet, HashSet};

use dormouse_kernel::{Position, Slice};

use crate::store::{Changes, Progress, ShardProgress};

/// The watermarks of one consumer.
///
/// An event is *open* from when it is read until it is *settled*: done, or stored as a job. The low of a shard is the
/// position before its first open event, or the last position that was read.
#[derive(Debug)]
pub(crate) struct Watermarks {
    /// The last position that was read; all events up to it are known here.
    read: Position,
    shards: Vec<Shard>,
    /// What the store had at the start: decides which events are settled already.
    stored: Progress,
    /// As long as the store has progress of another number of shards, and this position was not read, the lows stay as
    /// they are stored: a new shard may consist of parts that have come differently far.
    adopt_at: Option<Position>,
}

#[derive(Debug, Default)]
struct Shard {
    open: BTreeSet<Position>,
    /// Done since the last collection.
    done: Vec<Position>,
    /// Done above the low, as the store has it.
    stored_done: BTreeSet<Position>,
    /// The low that was collected last.
    low: Option<Position>,
}

impl Watermarks {
    /// Continues from what the store has. `shards` is the number of shards now.
    pub(crate) fn new(stored: Progress, shards: u16) -> Self {
        let mut all: Vec<Shard> = std::iter::repeat_with(Shard::default).take(usize::from(shards)).collect();
        let is_same =
            stored.shards.len() == usize::from(shards) && stored.shards.iter().all(|row| row.shards == shards);
        let highest = stored.shards.iter().map(|row| row.low).max();
        if is_same {
            for row in &stored.shards {
                if let Some(shard) = all.get_mut(usize::from(row.shard)) {
                    shard.low = Some(row.low);
                }
            }
        }
        let read = stored.shards.iter().map(|row| row.low).min().unwrap_or_default();
        let adopt_at = highest.filter(|_| !is_same);
        Self { read, shards: all, stored, adopt_at }
    }

    /// The position from which to read on.
    pub(crate) const fn read_position(&self) -> Position {
        self.read
    }

    /// Whether an event that the consumer wants was settled before the start. It is asked once for each event.
    pub(crate) fn was_settled(&mut self, position: Position, slice: Slice) -> bool {
        let low = self.stored.shards.iter().find(|row| row.has(slice)).map(|row| row.low);
        let is_done = self.stored.done.remove(&position);
        if is_done {
            self.shard(slice).stored_done.insert(position);
        }
        let is_below = low.is_some_and(|low| position <= low);
        if is_below && !is_done && self.adopt_at.is_some() {
            // Its new shard may not have come as far as its former one.
            self.shard(slice).done.push(position);
        }
        is_done || is_below
    }

    /// An event was read that the consumer wants.
    pub(crate) fn open(&mut self, position: Position, slice: Slice) {
        self.shard(slice).open.insert(position);
    }

    /// Everything up to this position was read.
    pub(crate) fn read_up_to(&mut self, position: Position) {
        self.read = self.read.max(position);
    }

    /// An event is done.
    pub(crate) fn done(&mut self, position: Position, slice: Slice) {
        let shard = self.shard(slice);
        if shard.open.remove(&position) {
            shard.done.push(position);
        }
    }

    /// An event is a job that is about to be stored. That it is settled must be stored together with the job: if the event
    /// was read again after a crash, it would be a second job behind itself.
    pub(crate) fn is_job(&mut self, position: Position, slice: Slice) {
        self.done(position, slice);
    }

    /// How many events are open.
    #[cfg(test)]
    pub(crate) fn open_count(&self) -> usize {
        self.shards.iter().map(|shard| shard.open.len()).sum()
    }

    /// Whether anything has to be stored. Positions that were only passed over count only if `all`.
    pub(crate) fn has_changes(&self, all: bool) -> bool {
        let has_done = self.shards.iter().any(|shard| !shard.done.is_empty());
        has_done || all && self.shards.iter().any(|shard| shard.low != Some(shard.low(self.read)))
    }

    /// Adds what has changed since the last call. With `all`, also the shards in which nothing was done.
    pub(crate) fn collect(&mut self, changes: &mut Changes, all: bool) {
        let read = self.read;
        let count = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        let adopts = self.adopt_at.is_some_and(|adopt_at| read >= adopt_at);
        if adopts {
            self.adopt_at = None;
            changes.forget_other_shards = true;
        }
        let keeps_lows = self.adopt_at.is_some();
        for (number, shard) in (0..).zip(&mut self.shards) {
            let low = shard.low(read);
            let done = std::mem::take(&mut shard.done);
            let has_done = !done.is_empty();
            if keeps_lows {
                shard.stored_done.extend(&done);
                changes.done.extend(done);
                continue;
            }
            let above: Vec<_> = done.into_iter().filter(|position| *position > low).collect();
            if shard.low != Some(low) && (has_done || all || adopts) {
                shard.low = Some(low);
                changes.progress.push(ShardProgress { shard: number, shards: count, low });
            }
            let kept = shard.low.unwrap_or_default();
            let still_above = shard.stored_done.split_off(&kept.next());
            changes.forget_done.extend(std::mem::replace(&mut shard.stored_done, still_above));
            shard.stored_done.extend(&above);
            changes.done.extend(above);
        }
        // Events that were done, and that the consumer does not want any more.
        let lowest = self.shards.iter().map(|shard| shard.low.unwrap_or_default()).min().unwrap_or_default();
        changes.forget_done.extend(self.stored.done.extract_if(|position| *position <= lowest));
    }

    fn shard(&mut self, slice: Slice) -> &mut Shard {
        let shards = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        &mut self.shards[usize::from(slice.shard(shards))]
    }
}

impl Shard {
    fn low(&self, read: Position) -> Position {
        self.open.first().map_or(read, |first| Position(first.0.saturating_sub(1)))
    }
}

/// The progress of a consumer that begins after this position.
pub(crate) fn beginning_after(position: Position, shards: u16) -> Progress {
    let row = |shard| ShardProgress { shard, shards, low: position };
    Progress { shards: (0..shards).map(row).collect(), done: HashSet::new() }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What a store would have after some changes.
    fn apply(stored: &mut Progress, changes: &Changes) {
        if changes.forget_other_shards {
            let shards = changes.progress.first().map(|row| row.shards);
            stored.shards.retain(|row| Some(row.shards) == shards);
        }
        for row in &changes.progress {
            stored.shards.retain(|old| (old.shard, old.shards) != (row.shard, row.shards));
            stored.shards.push(*row);
        }
        stored.done.extend(&changes.done);
        changes.forget_done.iter().for_each(|position| _ = stored.done.remove(position));
    }

    fn slice(number: usize) -> Slice {
        Slice::of("a", &number.to_string())
    }

    proptest! {
        /// Whatever is settled in whatever order, with crashes and changes of the number of shards between: an event
        /// that was settled before the last collection is not read again, and one that was not settled is.
        #[test]
        fn after_a_crash_exactly_the_events_that_were_not_settled_are_read_again(
            rounds in vec((1..9_u16, 0..30_usize, vec(any::<prop::sample::Index>(), 0..20), any::<bool>()), 1..8),
        ) {
            let mut stored = beginning_after(Position::ZERO, 4);
            let mut settled = BTreeSet::new();
            let mut head = 0;
            for (shards, appended, choices, all) in rounds {
                head += appended as u64;
                let mut marks = Watermarks::new(stored.clone(), shards);
                let mut open = Vec::new();
                for position in marks.read_position().0 + 1..=head {
                    let slice = slice(position as usize % 7);
                    let was_settled = marks.was_settled(Position(position), slice);
                    prop_assert_eq!(was_settled, settled.contains(&position), "{}", position);
                    if !was_settled {
                        marks.open(Position(position), slice);
                        open.push((position, slice));
                    }
                    marks.read_up_to(Position(position));
                }
                for position in 1..=marks.read_position().0.min(head) {
                    prop_assert!(settled.contains(&position) || open.iter().any(|(other, _)| *other == position));
                }
                let half = choices.len() / 2;
                for (number, choice) in choices.into_iter().enumerate() {
                    if number == half {
                        let mut changes = Changes::default();
                        marks.collect(&mut changes, all);
                        apply(&mut stored, &changes);
                    }
                    if !open.is_empty() {
                        let (position, slice) = open.swap_remove(choice.index(open.len()));
                        if number % 2 == 0 {
                            marks.done(Position(position), slice);
                        } else {
                            marks.is_job(Position(position), slice);
                        }
                        settled.insert(position);
                    }
                }
                let mut changes = Changes::default();
                marks.collect(&mut changes, all);
                apply(&mut stored, &changes);
                prop_assert_eq!(marks.open_count(), open.len());
            }
        }
    }

    #[test]
    fn positions_that_are_done_below_the_low_are_forgotten() {
        let mut marks = Watermarks::new(beginning_after(Position::ZERO, 1), 1);
        for position in 1..=3 {
            marks.open(Position(position), slice(0));
        }
        marks.read_up_to(Position(5));
        marks.done(Position(2), slice(0));
        let mut changes = Changes::default();
        marks.collect(&mut changes, false);
        assert_eq!((changes.done, changes.progress), (vec![Position(2)], vec![]));
        marks.done(Position(1), slice(0));
        let mut changes = Changes::default();
        marks.collect(&mut changes, false);
        let row = ShardProgress { shard: 0, shards: 1, low: Position(2) };
        assert_eq!((changes.done, changes.progress, changes.forget_done), (vec![], vec![row], vec![Position(2)]));
    }

    #[test]
    fn an_event_that_is_a_job_is_settled_in_the_commit_that_stores_the_job() {
        let mut marks = Watermarks::new(beginning_after(Position::ZERO, 1), 1);
        (1..=2).for_each(|position| marks.open(Position(position), slice(0)));
        marks.read_up_to(Position(2));
        marks.is_job(Position(2), slice(0));
        assert!(marks.has_changes(false));
        let (mut stored, mut changes) = (beginning_after(Position::ZERO, 1), Changes::default());
        marks.collect(&mut changes, false);
        apply(&mut stored, &changes);
        let mut after_a_crash = Watermarks::new(stored, 1);
        assert!(!after_a_crash.was_settled(Position(1), slice(0)));
        assert!(after_a_crash.was_settled(Position(2), slice(0)));
    }
}

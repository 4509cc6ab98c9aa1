//! The timers that are due next, in memory: a part of the store's order of timers, from its beginning.

use std::collections::{BTreeMap, HashMap};

use dormouse_kernel::{AggregateRef, TimerName, Timestamp};

use crate::store::{TimerPlace, TimerRow};

/// Timers that are read from the store at a time, and half of those that are kept in memory.
pub(super) const PAGE: usize = 4096;

/// The timers that are due next.
#[derive(Debug, Default)]
pub(super) struct NearTimers {
    rows: BTreeMap<TimerPlace, TimerRow>,
    /// The due time of each, to find one by its name.
    due: HashMap<(AggregateRef, TimerName), Timestamp>,
    /// All timers of the store up to this place are here, or fire. `None`: none are.
    covered: Covered,
}

/// Up to where the timers of the store are in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Covered {
    #[default]
    Nothing,
    UpTo(TimerPlace),
    Everything,
}

impl NearTimers {
    /// After which place more timers have to be read from the store. `None` if none have to be read now.
    pub(super) fn read_after(&self) -> Option<Option<&TimerPlace>> {
        match &self.covered {
            _ if !self.rows.is_empty() => None,
            Covered::Everything => None,
            Covered::Nothing => Some(None),
            Covered::UpTo(place) => Some(Some(place)),
        }
    }

    /// Adds a page of the store that begins where [`read_after`](Self::read_after) said.
    pub(super) fn add_page(&mut self, page: Vec<TimerRow>) {
        self.covered = match page.last() {
            Some(last) if page.len() >= PAGE => Covered::UpTo(last.place.clone()),
            _ => Covered::Everything,
        };
        page.into_iter().for_each(|row| self.insert(row));
    }

    /// A timer was set. It is kept only if it is among those that are due next.
    pub(super) fn set(&mut self, row: TimerRow) {
        self.remove(&row.place.aggregate, &row.place.name);
        let is_near = match &self.covered {
            Covered::Nothing => false,
            Covered::UpTo(covered) => row.place <= *covered,
            Covered::Everything => true,
        };
        if is_near {
            self.insert(row);
        }
        while self.rows.len() > 2 * PAGE {
            let Some((place, _)) = self.rows.pop_last() else { return };
            self.due.remove(&(place.aggregate, place.name));
            if let Some((last, _)) = self.rows.last_key_value() {
                self.covered = Covered::UpTo(last.clone());
            }
        }
    }

    /// A timer was cancelled, or is set again.
    pub(super) fn remove(&mut self, aggregate: &AggregateRef, name: &TimerName) {
        let id = (aggregate.clone(), name.clone());
        if let Some(due) = self.due.remove(&id) {
            let (aggregate, name) = id;
            self.rows.remove(&TimerPlace { due, aggregate, name });
        }
    }

    /// When the first timer is due.
    pub(super) fn first_due(&self) -> Option<Timestamp> {
        self.rows.first_key_value().map(|(place, _)| place.due)
    }

    /// Takes a timer out that is due by `now`.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<TimerRow> {
        let first = self.rows.first_entry().filter(|first| first.key().due <= now)?;
        let (place, row) = first.remove_entry();
        self.due.remove(&(place.aggregate, place.name));
        Some(row)
    }

    /// Puts a timer back that was taken out.
    pub(super) fn put_back(&mut self, row: TimerRow) {
        self.insert(row);
    }

    fn insert(&mut self, row: TimerRow) {
        self.due.insert((row.place.aggregate.clone(), row.place.name.clone()), row.place.due);
        self.rows.insert(row.place.clone(), row);
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{AggregateId, AggregateType, Position, Schedule, Version};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn row(number: u16, due: i64) -> TimerRow {
        let due = Timestamp::from_second(due).unwrap();
        let aggregate =
            AggregateRef::new(AggregateType::new("a").unwrap(), AggregateId::new(number.to_string()).unwrap());
        TimerRow {
            place: TimerPlace { due, aggregate, name: TimerName::new("t").unwrap() },
            position: Position(1),
            set_at: Version(1),
            schedule: Schedule::Once { due },
            payload: Vec::new(),
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u16, i64),
        Remove(u16),
        Fire(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..20_000_u16, 0..1000_i64).prop_map(|(number, due)| Step::Set(number, due)),
            1 => (0..20_000_u16).prop_map(Step::Remove),
            2 => (0..1000_i64).prop_map(Step::Fire),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// With a store behind it, what is due is always what the store says, however many timers there are.
        #[test]
        fn what_is_due_is_what_the_store_says(
            initial in 0..12_000_u16,
            steps in vec(step(), 1..200),
        ) {
            let mut store: BTreeMap<TimerPlace, TimerRow> =
                (0..initial).map(|number| row(number, i64::from(number) % 997)).map(|row| (row.place.clone(), row)).collect();
            let mut near = NearTimers::default();
            for step in steps {
                match step {
                    Step::Set(number, due) => {
                        let row = row(number, due);
                        store.retain(|place, _| place.aggregate != row.place.aggregate);
                        store.insert(row.place.clone(), row.clone());
                        near.set(row);
                    }
                    Step::Remove(number) => {
                        let row = row(number, 0);
                        store.retain(|place, _| place.aggregate != row.place.aggregate);
                        near.remove(&row.place.aggregate, &row.place.name);
                    }
                    Step::Fire(now) => {
                        let now = Timestamp::from_second(now).unwrap();
                        loop {
                            if let Some(after) = near.read_after() {
                                let page = store.range(..).map(|(_, row)| row.clone());
                                let page = page.filter(|row| after.is_none_or(|after| row.place > *after));
                                let page = page.take(PAGE).collect();
                                near.add_page(page);
                            }
                            let expected = store.first_key_value().map(|(place, _)| place.clone());
                            let expected = expected.filter(|place| place.due <= now);
                            let taken = near.take_due(now).map(|row| row.place);
                            prop_assert_eq!(&taken, &expected);
                            let Some(taken) = taken else { break };
                            store.remove(&taken);
                        }
                    }
                }
            }
        }
    }
}

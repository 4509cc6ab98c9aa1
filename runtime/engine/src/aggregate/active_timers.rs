//! The timers of an aggregate that are set, so that it refuses the command of one that is not.

use std::collections::BTreeMap;

use dormouse_kernel::{TimerChange, TimerName, Version};
use serde::{Deserialize, Serialize};

use crate::command::FiringTimer;

/// The timers that are set, each with the version of the event that set it. Most aggregates have none, and pay for a
/// pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::box_collection, reason = "a map is three words in each of many aggregates, a pointer is one")]
pub(crate) struct ActiveTimers(Option<Box<BTreeMap<TimerName, Version>>>);

impl ActiveTimers {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Applies the changes that the command made whose first event has this version.
    pub(crate) fn apply(&mut self, changes: &[TimerChange], version: Version) {
        if changes.is_empty() {
            return;
        }
        let timers = self.0.get_or_insert_default();
        for change in changes {
            match change {
                TimerChange::Set { name, .. } => _ = timers.insert(name.clone(), version),
                TimerChange::Cancelled { name } | TimerChange::Fired { name } => _ = timers.remove(name),
            }
        }
        if timers.is_empty() {
            self.0 = None;
        }
    }

    /// Whether the timer is set, and no other one of its name was set since.
    pub(crate) fn has(&self, timer: &FiringTimer) -> bool {
        self.0.as_ref().and_then(|timers| timers.get(&timer.name)) == Some(&timer.set_at)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Schedule, Timestamp};

    use super::*;

    fn name(name: &str) -> TimerName {
        TimerName::new(name).unwrap()
    }

    fn set(timer: &str) -> TimerChange {
        let schedule = Schedule::Once { due: Timestamp::UNIX_EPOCH };
        TimerChange::Set { name: name(timer), schedule, command: Vec::new() }
    }

    fn firing(timer: &str, set_at: u64) -> FiringTimer {
        FiringTimer { name: name(timer), set_at: Version(set_at), is_last: true }
    }

    #[test]
    fn a_timer_that_was_replaced_cancelled_or_has_fired_is_not_set() {
        let mut timers = ActiveTimers::default();
        timers.apply(&[set("a"), set("b"), set("c")], Version(1));
        timers.apply(&[set("a"), TimerChange::Cancelled { name: name("b") }], Version(4));
        assert!(!timers.has(&firing("a", 1)) && timers.has(&firing("a", 4)));
        assert!(!timers.has(&firing("b", 1)) && timers.has(&firing("c", 1)));
        timers.apply(&[TimerChange::Fired { name: name("c") }, TimerChange::Fired { name: name("a") }], Version(5));
        assert!(!timers.has(&firing("c", 1)) && timers.is_empty());
    }
}

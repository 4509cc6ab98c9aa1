//! Timers: from the changes in the log to commands that are due.
//!
//! ```text
//! log ──► changes ──► store (all timers) ──► near (those that are due next, in memory) ──► firing ──► aggregate
//!                                                                               └─ failed ──► jobs (timers/retry.rs)
//! ```
//!
//! A timer fires as a command whose key has its name, the version of the event that set it, and the time at which it was
//! due: a repetition after a crash does nothing. The aggregate refuses the command of a timer that was set again or
//! cancelled meanwhile.

mod near;
mod retry;
mod task;

use dormouse_kernel::{AddressedCommand, CodecError, CommandKey, RecordedEvent, Schedule, TimerChange, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use retry::RetryWork;
pub(crate) use task::TimerTask;

use crate::bus::{Delivery, Firing, Origin};
use crate::store::{TimerPlace, TimerRow};

/// The name of the consumer that keeps and fires the timers.
pub(crate) const TIMERS: &str = "timers";

/// What is stored with a timer, besides when it is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredTimer {
    /// The place of the change among those of its command.
    ordinal: u8,
    command: Vec<u8>,
    origin: Origin,
}

/// A change of one timer.
enum Change {
    Set(Box<TimerRow>),
    Removed,
}

/// The changes of timers that an event carries.
fn changes(event: &RecordedEvent) -> Result<Vec<(TimerPlace, Change)>, CodecError> {
    let timers = event.outgoing()?.map(|outgoing| outgoing.timers).unwrap_or_default();
    if timers.is_empty() {
        return Ok(Vec::new());
    }
    let origin = Origin::of(&event.metadata()?);
    let place = |name: &dormouse_kernel::TimerName, due| TimerPlace {
        due,
        aggregate: event.aggregate.clone(),
        name: name.clone(),
    };
    let changed = (0..).zip(timers).map(|(ordinal, change)| match change {
        TimerChange::Set { name, schedule, command } => {
            let place = place(&name, schedule.first());
            let stored = StoredTimer { ordinal, command, origin: origin.clone() };
            let row = TimerRow {
                place: place.clone(),
                position: event.position,
                set_at: event.version,
                schedule,
                payload: dormouse_kernel::encode(&stored)?,
            };
            Ok((place, Change::Set(Box::new(row))))
        }
        TimerChange::Cancelled { name } | TimerChange::Fired { name } => {
            Ok((place(&name, Timestamp::MIN), Change::Removed))
        }
    });
    changed.collect()
}

/// The command of a timer that is due.
fn delivery(row: &TimerRow) -> Result<(Delivery, StoredTimer), CodecError> {
    let TimerRow { place, set_at, schedule, payload, .. } = row;
    let stored: StoredTimer = dormouse_kernel::decode(payload)?;
    let key = format!("$t-{}-{set_at}-{}", place.name, place.due.as_microsecond());
    let key = CommandKey::new(&key)
        .map_err(|error| CodecError::Encode { what: "a command key", reason: error.to_string() })?;
    let delivery = Delivery {
        to: AddressedCommand::encoded(place.aggregate.clone(), stored.command.clone()),
        key,
        // The store may be behind: a timer that has fired may fire again after a crash.
        is_first: false,
        origin: stored.origin.clone(),
        timer: Some(Firing { name: place.name.clone(), set_at: *set_at, is_last: !schedule.is_recurring() }),
        refusal: None,
    };
    Ok((delivery, stored))
}

/// When a timer is due next after it was due at `due`, if it is `now`.
fn following(schedule: &Schedule, due: Timestamp, now: Timestamp) -> Option<Timestamp> {
    use dormouse_kernel::CatchUp::{All, None, One};
    let next = schedule.next(due)?;
    match schedule.catch_up() {
        One | None if next <= now => schedule.skip_to(due, now),
        All | One | None => Some(next),
    }
}

/// Whether a timer that is due at `due` has missed its time: the next one has come already, and it does not catch up.
fn has_missed(schedule: &Schedule, due: Timestamp, now: Timestamp) -> bool {
    schedule.catch_up() == dormouse_kernel::CatchUp::None && schedule.next(due).is_some_and(|next| next <= now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dormouse_kernel::{CatchUp, Every};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn every_ten(catch_up: CatchUp) -> Schedule {
        Schedule::new(Every::new(Duration::from_secs(10)).catch_up(catch_up).into(), at(0)).unwrap()
    }

    #[test]
    fn missed_times_are_caught_up_once_each_or_not_at_all() {
        // Due at 10, 20 and 30, and the server is back at 35.
        let now = at(35);
        let all = every_ten(CatchUp::All);
        assert_eq!((has_missed(&all, at(10), now), following(&all, at(10), now)), (false, Some(at(20))));
        let one = every_ten(CatchUp::One);
        assert_eq!((has_missed(&one, at(10), now), following(&one, at(10), now)), (false, Some(at(40))));
        let none = every_ten(CatchUp::None);
        assert_eq!((has_missed(&none, at(10), now), following(&none, at(10), now)), (true, Some(at(40))));
        // The last of them is late, and not missed.
        assert!(!has_missed(&none, at(30), now));
    }

    #[test]
    fn a_timer_that_is_due_once_has_no_next_time() {
        let once = Schedule::Once { due: at(10) };
        assert_eq!((has_missed(&once, at(10), at(99)), following(&once, at(10), at(99))), (false, None));
    }
}

//! Commands and events for the tests of the commands: Ada learns.

use jiff::civil::Date;

use super::{DayRun, UserCommand, UserEvent};
use crate::academy::stories::{lesson, name, zone};

pub(super) fn register(time_zone: &str) -> UserCommand {
    UserCommand::RegisterUser { name: name("Ada"), time_zone: zone(time_zone) }
}

pub(super) fn learn() -> UserCommand {
    UserCommand::RecordLearning { lesson: lesson("l-1"), at: None }
}

pub(super) fn registered(time_zone: &str) -> UserEvent {
    UserEvent::UserRegistered { name: name("Ada").into(), time_zone: zone(time_zone) }
}

/// A day that is the last one of a streak.
pub(super) fn learned(date: &str, streak: u32) -> UserEvent {
    let (days, last) = (streak, day(date));
    let first = last.checked_sub(jiff::Span::new().days(i64::from(days) - 1)).unwrap();
    UserEvent::LearningDayRecorded { date: last, lesson: lesson("l-1"), streak, run: DayRun { days, first, last } }
}

pub(super) fn recorded(date: &str, streak: u32, run: DayRun) -> UserEvent {
    UserEvent::LearningDayRecorded { date: day(date), lesson: lesson("l-1"), streak, run }
}

pub(super) fn broken(days: u32, last_day: &str) -> UserEvent {
    UserEvent::StreakBroken { days, last_day: day(last_day) }
}

pub(super) fn run(first: &str, last: &str, days: u32) -> DayRun {
    DayRun { days, first: day(first), last: day(last) }
}

pub(super) fn day(date: &str) -> Date {
    date.parse().unwrap()
}

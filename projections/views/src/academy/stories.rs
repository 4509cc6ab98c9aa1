//! Events and values for the tests of the views: Ada learns Rust.

use dormouse_aggregates::academy::{
    CourseId, CourseLesson, DayRun, EnrolmentEvent, LessonId, LessonProgressEvent, Name, Score, TimeZoneName,
    UserEvent, UserId,
};
use dormouse_kernel::Timestamp;
use jiff::Span;
use jiff::civil::Date;

/// A time, in seconds after the first one.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

pub(super) fn started(by: &str, id: &str) -> LessonProgressEvent {
    LessonProgressEvent::LessonStarted { user: user(by), lesson: lesson(id) }
}

pub(super) fn progress(by: &str, id: &str, number: f64, time_spent_seconds: u64) -> LessonProgressEvent {
    let (user, lesson, score) = (user(by), lesson(id), score(number));
    LessonProgressEvent::ProgressRecorded { user, lesson, score, time_spent_seconds }
}

pub(super) fn lesson_completed(by: &str, id: &str, number: f64) -> LessonProgressEvent {
    LessonProgressEvent::LessonCompleted { user: user(by), lesson: lesson(id), score: score(number) }
}

pub(super) fn requested() -> EnrolmentEvent {
    EnrolmentEvent::EnrolmentRequested { course: course("rust"), user: user("ada") }
}

pub(super) fn began(lessons: &[&str]) -> EnrolmentEvent {
    let lessons = lessons.iter().map(|id| CourseLesson { id: lesson(id), prerequisites: Vec::new() }).collect();
    EnrolmentEvent::EnrolmentBegan { course: course("rust"), user: user("ada"), lessons }
}

pub(super) fn unlocked(id: &str) -> EnrolmentEvent {
    EnrolmentEvent::LessonUnlocked { lesson: lesson(id) }
}

pub(super) fn completed(id: &str) -> EnrolmentEvent {
    EnrolmentEvent::CourseLessonCompleted { lesson: lesson(id) }
}

pub(super) fn course_completed() -> EnrolmentEvent {
    EnrolmentEvent::CourseCompleted { course: course("rust"), user: user("ada") }
}

pub(super) fn registered(time_zone: &str) -> UserEvent {
    UserEvent::UserRegistered { name: name("Ada").into(), time_zone: zone(time_zone) }
}

/// The last day of the current streak.
pub(super) fn learned(date: &str, streak: u32) -> UserEvent {
    let last: Date = date.parse().unwrap();
    let first = last.checked_sub(Span::new().days(i64::from(streak) - 1)).unwrap();
    learning_day(last, streak, DayRun { days: streak, first, last })
}

/// A day before a run that then has so many days.
pub(super) fn learned_late(date: &str, streak: u32, days: u32) -> UserEvent {
    let first: Date = date.parse().unwrap();
    let last = first.checked_add(Span::new().days(i64::from(days) - 1)).unwrap();
    learning_day(first, streak, DayRun { days, first, last })
}

pub(super) fn broken(days: u32, last_day: &str) -> UserEvent {
    UserEvent::StreakBroken { days, last_day: last_day.parse().unwrap() }
}

pub(super) fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

pub(super) fn course(id: &str) -> CourseId {
    CourseId::new(id).unwrap()
}

pub(super) fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

pub(super) fn zone(name: &str) -> TimeZoneName {
    TimeZoneName::new(name).unwrap()
}

pub(super) fn score(score: f64) -> Score {
    Score::new(score).unwrap()
}

fn lesson(id: &str) -> LessonId {
    LessonId::new(id).unwrap()
}

fn learning_day(date: Date, streak: u32, run: DayRun) -> UserEvent {
    UserEvent::LearningDayRecorded { date, lesson: lesson("l-1"), streak, run }
}

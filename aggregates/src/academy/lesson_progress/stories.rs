//! Commands and events for the tests of the commands: Ada takes the lesson `l-1`.

use super::{LessonProgressCommand, LessonProgressEvent};
use crate::academy::stories::{lesson, score, user};

pub(super) fn record(score: f64, time_spent_seconds: u64) -> LessonProgressCommand {
    progress(score, time_spent_seconds, None)
}

pub(super) fn progress(score: f64, time_spent_seconds: u64, pass_score: Option<f64>) -> LessonProgressCommand {
    let (user, lesson) = (user("ada"), lesson("l-1"));
    LessonProgressCommand::RecordProgress { user, lesson, score, time_spent_seconds, pass_score }
}

pub(super) fn started() -> LessonProgressEvent {
    LessonProgressEvent::LessonStarted { user: user("ada"), lesson: lesson("l-1") }
}

pub(super) fn recorded(number: f64, time_spent_seconds: u64) -> LessonProgressEvent {
    let (user, lesson, score) = (user("ada"), lesson("l-1"), score(number));
    LessonProgressEvent::ProgressRecorded { user, lesson, score, time_spent_seconds }
}

pub(super) fn completed(number: f64) -> LessonProgressEvent {
    LessonProgressEvent::LessonCompleted { user: user("ada"), lesson: lesson("l-1"), score: score(number) }
}

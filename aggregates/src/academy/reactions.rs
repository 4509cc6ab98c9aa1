//! What follows from events of the academy in other aggregates: events to commands, as pure functions.
//!
//! An application wires each of them to a reactor of the same name.

use dormouse_kernel::Timestamp;

use super::{LessonCommand, LessonId, LessonProgressEvent, UserCommand, UserId};

/// A completed lesson unlocks the next ones: the [`Lesson`](super::Lesson) gets a command, and passes the news to the
/// learner's enrolment.
#[must_use]
pub fn unlocking(event: &LessonProgressEvent) -> Option<(LessonId, LessonCommand)> {
    match event {
        LessonProgressEvent::LessonCompleted { user, lesson, .. } => {
            Some((lesson.clone(), LessonCommand::LearnerCompleted { user: user.clone() }))
        }
        LessonProgressEvent::LessonStarted { .. } | LessonProgressEvent::ProgressRecorded { .. } => None,
    }
}

/// Progress is a day of learning: the [`User`](super::User) gets a command. The day is that of the event, however late
/// the command is delivered.
#[must_use]
pub fn streaks(event: &LessonProgressEvent, recorded_at: Timestamp) -> Option<(UserId, UserCommand)> {
    match event {
        LessonProgressEvent::ProgressRecorded { user, lesson, .. } => {
            Some((user.clone(), UserCommand::RecordLearning { lesson: lesson.clone(), at: Some(recorded_at) }))
        }
        LessonProgressEvent::LessonStarted { .. } | LessonProgressEvent::LessonCompleted { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::academy::stories::{lesson, score, time, user};

    fn started() -> LessonProgressEvent {
        LessonProgressEvent::LessonStarted { user: user("ada"), lesson: lesson("l-1") }
    }

    fn recorded() -> LessonProgressEvent {
        let (user, lesson, score) = (user("ada"), lesson("l-1"), score(0.9));
        LessonProgressEvent::ProgressRecorded { user, lesson, score, time_spent_seconds: 180 }
    }

    fn completed() -> LessonProgressEvent {
        LessonProgressEvent::LessonCompleted { user: user("ada"), lesson: lesson("l-1"), score: score(0.9) }
    }

    #[test]
    fn a_completed_lesson_is_told_to_the_lesson() {
        let told = (lesson("l-1"), LessonCommand::LearnerCompleted { user: user("ada") });
        assert_eq!(unlocking(&completed()), Some(told));
        assert_eq!([started(), recorded()].map(|event| unlocking(&event)), [None, None]);
    }

    #[test]
    fn progress_is_learning_at_the_time_of_the_event() {
        let at = time("2026-11-20T12:00:00Z");
        let told = (user("ada"), UserCommand::RecordLearning { lesson: lesson("l-1"), at: Some(at) });
        assert_eq!(streaks(&recorded(), at), Some(told));
        assert_eq!([started(), completed()].map(|event| streaks(&event, at)), [None, None]);
    }
}

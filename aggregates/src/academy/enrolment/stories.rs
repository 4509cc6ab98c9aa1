//! Commands and events for the tests of the commands: Ada takes the course `rust`.

use super::{EnrolmentCommand, EnrolmentEvent};
use crate::academy::CourseLesson;
use crate::academy::course::stories::course_lesson;
use crate::academy::stories::{course, lesson, user};

pub(super) fn enrol() -> EnrolmentCommand {
    EnrolmentCommand::Enrol { course: course("rust"), user: user("ada") }
}

pub(super) fn begin(lessons: &[(&str, &[&str])]) -> EnrolmentCommand {
    EnrolmentCommand::BeginEnrolment { lessons: course_lessons(lessons) }
}

pub(super) fn requested() -> EnrolmentEvent {
    EnrolmentEvent::EnrolmentRequested { course: course("rust"), user: user("ada") }
}

pub(super) fn refused() -> EnrolmentEvent {
    EnrolmentEvent::EnrolmentRefused { reason: "no-such-course".to_owned() }
}

pub(super) fn began(lessons: &[(&str, &[&str])]) -> EnrolmentEvent {
    EnrolmentEvent::EnrolmentBegan { course: course("rust"), user: user("ada"), lessons: course_lessons(lessons) }
}

/// An enrolment in a course of four lessons: l-1, then l-2 and l-3, then l-4 after both.
pub(super) fn active() -> Vec<EnrolmentEvent> {
    let lessons: &[(&str, &[&str])] = &[("l-1", &[]), ("l-2", &["l-1"]), ("l-3", &["l-1"]), ("l-4", &["l-2", "l-3"])];
    vec![requested(), began(lessons), unlocked("l-1")]
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

fn course_lessons(lessons: &[(&str, &[&str])]) -> Vec<CourseLesson> {
    lessons.iter().map(|(id, required)| course_lesson(id, required)).collect()
}

//! Commands and events for the tests of the commands: a course about Rust.

use dormouse_kernel::Message;

use super::{Course, CourseCommand, CourseEvent, CourseLesson, NewLesson};
use crate::academy::stories::{course, lesson, name};
use crate::academy::{Lesson, LessonCommand};

pub(super) fn create(lessons: impl Into<Vec<NewLesson>>) -> CourseCommand {
    CourseCommand::CreateCourse { title: name("Rust"), lessons: lessons.into() }
}

pub(super) fn created<const N: usize>(lessons: [(&str, &[&str]); N]) -> CourseEvent {
    let lessons = lessons.map(|(id, required)| course_lesson(id, required)).to_vec();
    CourseEvent::CourseCreated { title: name("Rust"), lessons }
}

pub(super) fn added(id: &str, required: &[&str]) -> CourseEvent {
    CourseEvent::LessonAdded { lesson: course_lesson(id, required) }
}

pub(super) fn confirmed(id: &str) -> CourseEvent {
    CourseEvent::LessonConfirmed { lesson: lesson(id) }
}

pub(super) fn removed(id: &str, reason: &str) -> CourseEvent {
    CourseEvent::LessonRemoved { lesson: lesson(id), reason: reason.to_owned() }
}

/// The message that asks a lesson to belong to the course.
pub(super) fn asked(id: &str) -> Message {
    Message::to::<Lesson>(id, LessonCommand::AssignLesson { course: course("rust") })
        .on_refused::<Course>("rust", CourseCommand::RefuseLesson { lesson: lesson(id) })
}

pub(super) fn new_lesson(id: &str, required: &[&str]) -> NewLesson {
    let CourseLesson { id, prerequisites } = course_lesson(id, required);
    NewLesson { id, prerequisites }
}

pub(in crate::academy) fn course_lesson(id: &str, required: &[&str]) -> CourseLesson {
    CourseLesson { id: lesson(id), prerequisites: required.iter().map(|id| lesson(id)).collect() }
}

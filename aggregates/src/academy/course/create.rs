//! `CreateCourse`: creates a course once, and asks its lessons to belong to it.

use dormouse_kernel::Context;

use super::{Course, CourseEvent, CourseLesson, CourseRejection, NewLesson, prerequisites};
use crate::academy::{CourseId, Name};

impl Course {
    pub(super) fn create(
        &self,
        course: &CourseId,
        title: Name,
        lessons: Vec<NewLesson>,
        context: &mut Context<Self>,
    ) -> Result<(), CourseRejection> {
        if self.title.is_some() {
            return Err(CourseRejection::AlreadyCreated);
        }
        let lessons: Vec<CourseLesson> = lessons.into_iter().map(CourseLesson::from).collect();
        prerequisites::check(&lessons)?;
        lessons.iter().for_each(|lesson| Self::ask(course, &lesson.id, context));
        context.emit(CourseEvent::CourseCreated { title, lessons });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, When};

    use super::*;
    use crate::academy::CourseReply;
    use crate::academy::course::stories::{asked, create, created, new_lesson};

    fn after(lessons: impl Into<Vec<NewLesson>>) -> When<Course> {
        Given::nothing().with_id("rust").when(create(lessons))
    }

    #[test]
    fn a_course_asks_all_its_lessons() {
        after([new_lesson("l-2", &["l-1"]), new_lesson("l-1", &[])])
            .then([created([("l-2", &["l-1"] as &[_]), ("l-1", &[])])])
            .then_sent([asked("l-2"), asked("l-1")])
            .and_replies(&CourseReply { lessons: 2, pending: 2 });
    }

    #[test]
    fn a_course_may_begin_without_lessons() {
        after([]).then([created([])]).then_sent([]);
    }

    #[test]
    fn a_course_is_created_once() {
        Given::<Course>::events([created([])]).when(create([])).then_rejected("course-already-created");
    }

    #[test]
    fn a_course_has_200_lessons_at_most() {
        let lessons = |count| (0..count).map(|number| new_lesson(&format!("l-{number}"), &[])).collect::<Vec<_>>();
        let full = after(lessons(200));
        assert_eq!(full.state().lessons.len(), 200);
        after(lessons(201)).then_rejected("too-many-lessons");
    }

    #[test]
    fn a_lesson_is_in_a_course_once() {
        after([new_lesson("l-1", &[]), new_lesson("l-1", &[])]).then_rejected("duplicate-lesson");
    }

    #[test]
    fn a_lesson_requires_lessons_of_the_course_each_once_and_not_too_many() {
        after([new_lesson("l-1", &["l-2"])]).then_rejected("unknown-prerequisite");
        let twice = [new_lesson("l-1", &[]), new_lesson("l-2", &["l-1", "l-1"])];
        after(twice).then_rejected("duplicate-prerequisite");
        let names: Vec<String> = (0..11).map(|number| format!("l-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let with = |required: &[&str]| -> Vec<NewLesson> {
            names.iter().map(|name| new_lesson(name, &[])).chain([new_lesson("last", required)]).collect()
        };
        assert_eq!(after(with(&names[..10])).state().lessons.len(), 12);
        after(with(&names)).then_rejected("too-many-prerequisites");
    }

    #[test]
    fn lessons_that_require_each_other_are_refused() {
        after([new_lesson("l-1", &["l-1"])]).then_rejected("prerequisite-cycle");
        let cycle = [new_lesson("l-1", &["l-3"]), new_lesson("l-2", &["l-1"]), new_lesson("l-3", &["l-2"])];
        after(cycle).then_rejected("prerequisite-cycle");
    }

    #[test]
    fn a_course_is_named_by_a_course_id() {
        Given::<Course>::nothing().with_id("a:b").when(create([])).then_rejected("invalid-course-id");
    }
}

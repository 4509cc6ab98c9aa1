//! `AddLesson`: adds a lesson for the learners who enrol from now on.

use dormouse_kernel::Context;

use super::{Course, CourseEvent, CourseLesson, CourseRejection, NewLesson, prerequisites};
use crate::academy::CourseId;

impl Course {
    pub(super) fn add_lesson(
        &self,
        course: &CourseId,
        lesson: NewLesson,
        context: &mut Context<Self>,
    ) -> Result<(), CourseRejection> {
        if self.title.is_none() {
            return Err(CourseRejection::NotCreated);
        }
        let lesson = CourseLesson::from(lesson);
        let mut lessons = self.lessons.clone();
        lessons.push(lesson.clone());
        prerequisites::check(&lessons)?;
        Self::ask(course, &lesson.id, context);
        context.emit(CourseEvent::LessonAdded { lesson });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::academy::CourseCommand::AddLesson;
    use crate::academy::CourseReply;
    use crate::academy::course::stories::{added, asked, confirmed, created, new_lesson};

    #[test]
    fn a_lesson_is_added_and_asked() {
        Given::<Course>::events([created([("l-1", &[] as &[_])]), confirmed("l-1")])
            .with_id("rust")
            .when(AddLesson { lesson: new_lesson("l-2", &["l-1"]) })
            .then([added("l-2", &["l-1"])])
            .then_sent([asked("l-2")])
            .and_replies(&CourseReply { lessons: 2, pending: 1 });
    }

    #[test]
    fn the_rules_are_those_of_the_creation() {
        let add = |id: &str, required: &[&str], code: &str| {
            let lesson = new_lesson(id, required);
            Given::<Course>::events([created([("l-1", &[] as &[_])])]).when(AddLesson { lesson }).then_rejected(code);
        };
        add("l-1", &[], "duplicate-lesson");
        add("l-2", &["l-3"], "unknown-prerequisite");
        add("l-2", &["l-2"], "prerequisite-cycle");
    }

    #[test]
    fn only_a_course_that_exists_gets_lessons() {
        let add = AddLesson { lesson: new_lesson("l-1", &[]) };
        Given::<Course>::nothing().when(add).then_rejected("no-such-course");
    }
}

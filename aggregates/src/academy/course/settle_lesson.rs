//! `ConfirmLesson` and `RefuseLesson`: a lesson has answered.

use dormouse_kernel::Context;

use super::{Course, CourseEvent, CourseRejection};
use crate::academy::LessonId;

impl Course {
    pub(super) fn confirm_lesson(&self, lesson: LessonId, context: &mut Context<Self>) {
        if self.pending.contains(&lesson) {
            context.emit(CourseEvent::LessonConfirmed { lesson });
        }
    }

    pub(super) fn remove_lesson(&self, lesson: LessonId, context: &mut Context<Self>) -> Result<(), CourseRejection> {
        let refusal = context.refusal().ok_or(CourseRejection::NotARefusal)?;
        if self.pending.contains(&lesson) {
            let reason = refusal.code.clone();
            context.emit(CourseEvent::LessonRemoved { lesson, reason });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::academy::CourseCommand::{ConfirmLesson, RefuseLesson};
    use crate::academy::CourseReply;
    use crate::academy::course::stories::{confirmed, course_lesson, created, removed};
    use crate::academy::stories::lesson;

    fn given(more: impl IntoIterator<Item = CourseEvent>) -> Given<Course> {
        let first = created([("l-1", &[] as &[_]), ("l-2", &["l-1"]), ("l-3", &["l-1", "l-2"])]);
        Given::events([first].into_iter().chain(more))
    }

    #[test]
    fn a_confirmed_lesson_is_no_longer_pending() {
        let confirm = || ConfirmLesson { lesson: lesson("l-1") };
        given([]).when(confirm()).then([confirmed("l-1")]).and_replies(&CourseReply { lessons: 3, pending: 2 });
        given([confirmed("l-1")]).when(confirm()).then([]);
    }

    #[test]
    fn a_lesson_that_refuses_is_removed_also_from_prerequisites() {
        let after = given([])
            .after_refusal("lesson-belongs-to-other-course")
            .when(RefuseLesson { lesson: lesson("l-1") })
            .then([removed("l-1", "lesson-belongs-to-other-course")])
            .and_replies(&CourseReply { lessons: 2, pending: 2 });
        assert_eq!(after.state().lessons, [course_lesson("l-2", &[]), course_lesson("l-3", &["l-2"])]);
    }

    #[test]
    fn a_lesson_that_has_answered_stays() {
        let refuse = RefuseLesson { lesson: lesson("l-1") };
        given([confirmed("l-1")]).after_refusal("lesson-belongs-to-other-course").when(refuse).then([]);
    }

    #[test]
    fn only_a_refusal_removes_a_lesson() {
        given([]).when(RefuseLesson { lesson: lesson("l-1") }).then_rejected("not-a-refusal");
    }
}

//! `CompleteLesson`: unlocks what the lesson was missing for, and completes the course with its last lesson.

use dormouse_kernel::Context;

use super::{Enrolment, EnrolmentEvent, EnrolmentStatus};
use crate::academy::LessonId;

impl Enrolment {
    /// A message may arrive before the enrolment has begun, or for a lesson that was added later. It changes nothing
    /// then: an enrolment asks for completed lessons when it begins.
    pub(super) fn complete_lesson(&self, lesson: LessonId, context: &mut Context<Self>) {
        let is_part = self.lessons.iter().any(|other| other.id == lesson);
        if self.status != Some(EnrolmentStatus::Active) || !is_part || self.completed.contains(&lesson) {
            return;
        }
        context.emit(EnrolmentEvent::CourseLessonCompleted { lesson });
        Self::unlock(context);
        let is_last = self.completed.len() + 1 == self.lessons.len();
        if let (true, Some(course), Some(user)) = (is_last, &self.course, &self.user) {
            context.emit(EnrolmentEvent::CourseCompleted { course: course.clone(), user: user.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, When};

    use super::*;
    use crate::academy::EnrolmentCommand::CompleteLesson;
    use crate::academy::EnrolmentReply;
    use crate::academy::enrolment::stories::{active, completed, course_completed, requested, unlocked};
    use crate::academy::stories::lesson;

    /// After Ada has completed a lesson in the course of `active`: l-1, then l-2 and l-3, then l-4 after both.
    fn complete(past: Vec<EnrolmentEvent>, id: &str) -> When<Enrolment> {
        Given::events([active(), past].concat()).when(CompleteLesson { lesson: lesson(id) })
    }

    #[test]
    fn a_completed_lesson_unlocks_those_that_required_it() {
        complete(vec![], "l-1")
            .then([completed("l-1"), unlocked("l-2"), unlocked("l-3")])
            .and_replies(&EnrolmentReply { status: Some(EnrolmentStatus::Active), completed: 1, total: 4 });
    }

    #[test]
    fn a_lesson_is_unlocked_by_the_last_of_its_prerequisites() {
        let past = vec![completed("l-1"), unlocked("l-2"), unlocked("l-3")];
        complete(past.clone(), "l-2").then([completed("l-2")]);
        complete([past, vec![completed("l-2")]].concat(), "l-3").then([completed("l-3"), unlocked("l-4")]);
    }

    #[test]
    fn a_lesson_that_was_completed_while_it_was_locked_counts() {
        complete(vec![], "l-2").then([completed("l-2")]);
        complete(vec![completed("l-2")], "l-1").then([completed("l-1"), unlocked("l-3")]);
    }

    #[test]
    fn the_last_lesson_completes_the_course() {
        let past = ["l-2", "l-3", "l-4"].map(completed).to_vec();
        let after = complete(past, "l-1").then([completed("l-1"), course_completed()]);
        assert_eq!(after.state().status, Some(EnrolmentStatus::Completed));
    }

    #[test]
    fn a_lesson_counts_once_and_only_if_the_course_has_it() {
        complete(vec![completed("l-1")], "l-1").then([]);
        complete(vec![], "l-9").then([]);
    }

    #[test]
    fn nothing_counts_before_the_enrolment_has_begun() {
        for past in [vec![], vec![requested()]] {
            Given::<Enrolment>::events(past).when(CompleteLesson { lesson: lesson("l-1") }).then([]);
        }
    }
}

//! `AdmitLearner`: sends the lessons to an enrolment, once all of them belong to the course.

use dormouse_kernel::Context;

use super::{Course, CourseRejection};
use crate::academy::{CourseId, Enrolment, EnrolmentCommand, UserId};

impl Course {
    pub(super) fn admit(
        &self,
        course: &CourseId,
        user: &UserId,
        context: &mut Context<Self>,
    ) -> Result<(), CourseRejection> {
        if self.title.is_none() {
            return Err(CourseRejection::NotCreated);
        }
        if !self.pending.is_empty() {
            return Err(CourseRejection::LessonsPending { pending: self.pending.len() });
        }
        if self.lessons.is_empty() {
            return Err(CourseRejection::NoLessons);
        }
        let begin = EnrolmentCommand::BeginEnrolment { lessons: self.lessons.clone() };
        context.send::<Enrolment>(Enrolment::id(course, user), begin);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::academy::CourseCommand::AdmitLearner;
    use crate::academy::course::stories::{confirmed, course_lesson, created};
    use crate::academy::stories::user;

    fn admit() -> crate::academy::CourseCommand {
        AdmitLearner { user: user("ada") }
    }

    #[test]
    fn the_enrolment_gets_the_lessons() {
        let begin = EnrolmentCommand::BeginEnrolment { lessons: vec![course_lesson("l-1", &[])] };
        Given::<Course>::events([created([("l-1", &[] as &[_])]), confirmed("l-1")])
            .with_id("rust")
            .when(admit())
            .then([])
            .then_sent([Message::to::<Enrolment>("rust:ada", begin)]);
    }

    #[test]
    fn nobody_is_admitted_before_all_lessons_belong_to_the_course() {
        Given::<Course>::nothing().when(admit()).then_rejected("no-such-course");
        Given::<Course>::events([created([])]).when(admit()).then_rejected("course-without-lessons");
        Given::<Course>::events([created([("l-1", &[] as &[_])])]).when(admit()).then_rejected("lessons-pending");
    }
}

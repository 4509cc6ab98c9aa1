//! `Enrol`: asks the course for its lessons.

use dormouse_kernel::Context;

use super::{Enrolment, EnrolmentCommand, EnrolmentEvent, EnrolmentRejection, EnrolmentStatus};
use crate::academy::{Course, CourseCommand, CourseId, UserId};

impl Enrolment {
    pub(super) fn enrol(
        &self,
        course: CourseId,
        user: UserId,
        context: &mut Context<Self>,
    ) -> Result<(), EnrolmentRejection> {
        let id = Self::id(&course, &user);
        if context.id().as_str() != id {
            return Err(EnrolmentRejection::WrongId { id });
        }
        match self.status {
            Some(EnrolmentStatus::Active | EnrolmentStatus::Completed) => {
                return Err(EnrolmentRejection::AlreadyEnrolled);
            }
            // The course is asked again, should it never have answered. It may answer twice; the second time changes
            // nothing.
            Some(EnrolmentStatus::Requested) => {}
            Some(EnrolmentStatus::Refused) | None => {
                context.emit(EnrolmentEvent::EnrolmentRequested { course: course.clone(), user: user.clone() });
            }
        }
        let ask = CourseCommand::AdmitLearner { user };
        context.send::<Course>(course.as_str(), ask).on_refused(EnrolmentCommand::RefuseEnrolment);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::academy::EnrolmentReply;
    use crate::academy::enrolment::stories::{active, began, completed, course_completed, enrol, refused, requested};
    use crate::academy::stories::user;

    fn asked() -> Message {
        Message::to::<Course>("rust", CourseCommand::AdmitLearner { user: user("ada") })
            .on_refused::<Enrolment>("rust:ada", EnrolmentCommand::RefuseEnrolment)
    }

    fn given(past: Vec<EnrolmentEvent>) -> Given<Enrolment> {
        Given::events(past).with_id("rust:ada")
    }

    #[test]
    fn an_enrolment_asks_the_course() {
        given(vec![]).when(enrol()).then([requested()]).then_sent([asked()]).and_replies(&EnrolmentReply {
            status: Some(EnrolmentStatus::Requested),
            completed: 0,
            total: 0,
        });
    }

    #[test]
    fn a_user_whom_the_course_refused_may_ask_again() {
        let after = given(vec![requested(), refused()]).when(enrol()).then([requested()]).then_sent([asked()]);
        assert_eq!(after.state().refused_because, None);
    }

    #[test]
    fn a_course_that_has_not_answered_is_asked_again() {
        given(vec![requested()]).when(enrol()).then([]).then_sent([asked()]);
    }

    #[test]
    fn a_user_enrols_once() {
        given(active()).when(enrol()).then_rejected("already-enrolled");
        let done = [requested(), began(&[("l-1", &[])]), completed("l-1"), course_completed()];
        given(done.to_vec()).when(enrol()).then_rejected("already-enrolled");
    }

    #[test]
    fn the_id_names_the_course_and_the_user() {
        for id in ["rust:grace", "go:ada", "ada:rust", "rust"] {
            Given::<Enrolment>::nothing().with_id(id).when(enrol()).then_rejected("wrong-enrolment-id");
        }
    }
}

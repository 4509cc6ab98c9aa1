//! `RefuseEnrolment`: the course refused.

use dormouse_kernel::Context;

use super::{Enrolment, EnrolmentEvent, EnrolmentRejection, EnrolmentStatus};

impl Enrolment {
    pub(super) fn refuse(&self, context: &mut Context<Self>) -> Result<(), EnrolmentRejection> {
        let refusal = context.refusal().ok_or(EnrolmentRejection::NotARefusal)?;
        if self.status == Some(EnrolmentStatus::Requested) {
            let reason = refusal.code.clone();
            context.emit(EnrolmentEvent::EnrolmentRefused { reason });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::academy::EnrolmentCommand::RefuseEnrolment;
    use crate::academy::enrolment::stories::{active, refused, requested};

    #[test]
    fn the_refusal_of_the_course_is_kept() {
        let after = Given::<Enrolment>::events([requested()])
            .after_refusal("no-such-course")
            .when(RefuseEnrolment)
            .then([refused()]);
        assert_eq!(after.state().status, Some(EnrolmentStatus::Refused));
        assert_eq!(after.state().refused_because.as_deref(), Some("no-such-course"));
    }

    #[test]
    fn an_active_enrolment_is_not_refused_any_more() {
        Given::<Enrolment>::events(active()).after_refusal("lessons-pending").when(RefuseEnrolment).then([]);
    }

    #[test]
    fn only_a_refusal_refuses() {
        Given::<Enrolment>::events([requested()]).when(RefuseEnrolment).then_rejected("not-a-refusal");
    }
}

//! `RefuseAttempt`: the assessment refused. Another try needs another attempt.

use dormouse_kernel::Context;

use super::{AssessmentAttempt, AssessmentAttemptEvent, AssessmentAttemptRejection, AttemptStatus};

impl AssessmentAttempt {
    pub(super) fn refuse(&self, context: &mut Context<Self>) -> Result<(), AssessmentAttemptRejection> {
        let refusal = context.refusal().ok_or(AssessmentAttemptRejection::NotARefusal)?;
        if self.status == Some(AttemptStatus::Requested) {
            let reason = refusal.code.clone();
            context.emit(AssessmentAttemptEvent::AttemptRefused { reason });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::academy::AssessmentAttemptCommand::RefuseAttempt;
    use crate::academy::assessment_attempt::stories::{refused, requested, running};

    #[test]
    fn the_refusal_of_the_assessment_is_kept() {
        let after = Given::<AssessmentAttempt>::events([requested()])
            .after_refusal("no-attempts-left")
            .when(RefuseAttempt)
            .then([refused()]);
        assert_eq!(after.state().status, Some(AttemptStatus::Refused));
        assert_eq!(after.state().refused_because.as_deref(), Some("no-attempts-left"));
    }

    #[test]
    fn an_attempt_that_runs_is_not_refused_any_more() {
        Given::<AssessmentAttempt>::events(running()).after_refusal("no-attempts-left").when(RefuseAttempt).then([]);
    }

    #[test]
    fn only_a_refusal_refuses() {
        Given::<AssessmentAttempt>::events([requested()]).when(RefuseAttempt).then_rejected("not-a-refusal");
    }
}

//! `StartAttempt`: asks the assessment for an attempt, once.

use dormouse_kernel::Context;

use super::{AssessmentAttempt, AssessmentAttemptCommand, AssessmentAttemptEvent, AssessmentAttemptRejection};
use crate::academy::{Assessment, AssessmentCommand, AssessmentId, AttemptId, UserId};

impl AssessmentAttempt {
    pub(super) fn start(
        &self,
        attempt: AttemptId,
        assessment: AssessmentId,
        user: UserId,
        context: &mut Context<Self>,
    ) -> Result<(), AssessmentAttemptRejection> {
        if self.status.is_some() {
            return Err(AssessmentAttemptRejection::AlreadyStarted);
        }
        let ask = AssessmentCommand::AdmitAttempt { attempt, user: user.clone() };
        let refused = AssessmentAttemptCommand::RefuseAttempt;
        context.send::<Assessment>(assessment.as_str(), ask).on_refused(refused);
        context.emit(AssessmentAttemptEvent::AttemptRequested { assessment, user });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::academy::assessment_attempt::stories::{refused, requested, running, start};
    use crate::academy::stories::{attempt, user};
    use crate::academy::{AttemptReply, AttemptStatus};

    #[test]
    fn an_attempt_asks_the_assessment() {
        let ask = AssessmentCommand::AdmitAttempt { attempt: attempt("t-1"), user: user("ada") };
        let status = Some(AttemptStatus::Requested);
        Given::<AssessmentAttempt>::nothing()
            .with_id("t-1")
            .when(start())
            .then([requested()])
            .then_sent([Message::to::<Assessment>("final", ask)
                .on_refused::<AssessmentAttempt>("t-1", AssessmentAttemptCommand::RefuseAttempt)])
            .then_scheduled([])
            .and_replies(&AttemptReply { status, answered: 0, ends_at: None, score: None });
    }

    #[test]
    fn an_attempt_is_started_once() {
        for past in [vec![requested()], vec![requested(), refused()], running()] {
            Given::<AssessmentAttempt>::events(past).when(start()).then_rejected("attempt-already-started");
        }
    }
}

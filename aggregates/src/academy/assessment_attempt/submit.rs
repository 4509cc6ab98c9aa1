//! `Submit`: the user closes the attempt, and the assessment grades it.

use dormouse_kernel::Context;

use super::{AssessmentAttempt, AssessmentAttemptEvent, AssessmentAttemptRejection, TIME_LIMIT};
use crate::academy::AttemptId;

impl AssessmentAttempt {
    pub(super) fn submit(
        &self,
        attempt: AttemptId,
        context: &mut Context<Self>,
    ) -> Result<(), AssessmentAttemptRejection> {
        self.running(context.now())?;
        context.emit(AssessmentAttemptEvent::AttemptSubmitted { answered: self.answers.len() });
        context.cancel(TIME_LIMIT);
        self.send_answers(attempt, context);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{ExpectedTimer, Given};

    use super::*;
    use crate::academy::AssessmentAttemptCommand::Submit;
    use crate::academy::AttemptStatus;
    use crate::academy::assessment_attempt::stories::{BEGAN, ENDS, answered, grading, running, submitted, timed_out};
    use crate::academy::stories::time;

    #[test]
    fn a_submitted_attempt_is_graded_with_the_answers_it_has() {
        let after = Given::<AssessmentAttempt>::events([running(), vec![answered("q-1", "c-2")]].concat())
            .with_id("t-1")
            .at(time(BEGAN))
            .when(Submit)
            .then([submitted(1)])
            .then_sent([grading(&[("q-1", "c-2")])])
            .then_scheduled([ExpectedTimer::cancelled("time-limit")]);
        assert_eq!(after.state().status, Some(AttemptStatus::Closed));
    }

    #[test]
    fn a_late_submission_is_refused_because_the_timer_closes_the_attempt() {
        Given::<AssessmentAttempt>::events(running()).at(time(ENDS)).when(Submit).then_rejected("time-is-up");
    }

    #[test]
    fn an_attempt_is_submitted_once_and_only_while_it_runs() {
        Given::<AssessmentAttempt>::nothing().when(Submit).then_rejected("attempt-not-started");
        for closed in [submitted(0), timed_out(0)] {
            let past = [running(), vec![closed]].concat();
            Given::<AssessmentAttempt>::events(past).when(Submit).then_rejected("attempt-not-running");
        }
    }
}

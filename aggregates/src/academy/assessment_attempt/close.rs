//! `CloseAttempt`: the time is up, and the assessment grades what was answered.

use dormouse_kernel::{At, Context};

use super::{AssessmentAttempt, AssessmentAttemptCommand, AssessmentAttemptEvent, AttemptStatus, TIME_LIMIT};
use crate::academy::AttemptId;

impl AssessmentAttempt {
    pub(super) fn close(&self, attempt: AttemptId, context: &mut Context<Self>) {
        let (Some(AttemptStatus::Running), Some(ends_at)) = (self.status, self.ends_at) else { return };
        if context.now() < ends_at {
            // The clock was set back since the timer was set.
            context.schedule(TIME_LIMIT, At(ends_at), AssessmentAttemptCommand::CloseAttempt);
        } else {
            context.emit(AssessmentAttemptEvent::AttemptTimedOut { answered: self.answers.len() });
            self.send_answers(attempt, context);
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{ExpectedTimer, Given};

    use super::*;
    use crate::academy::AssessmentAttemptCommand::CloseAttempt;
    use crate::academy::assessment_attempt::stories::{
        BEGAN, ENDS, answered, grading, passed, running, submitted, timed_out,
    };
    use crate::academy::stories::time;

    #[test]
    fn the_timer_closes_the_attempt_with_the_answers_it_has() {
        let after = Given::<AssessmentAttempt>::events([running(), vec![answered("q-1", "c-2")]].concat())
            .with_id("t-1")
            .at(time(ENDS))
            .when(CloseAttempt)
            .then([timed_out(1)])
            .then_sent([grading(&[("q-1", "c-2")])]);
        assert_eq!(after.state().status, Some(AttemptStatus::Closed));
    }

    #[test]
    fn a_timer_that_is_early_is_set_again() {
        Given::<AssessmentAttempt>::events(running())
            .at(time(BEGAN))
            .when(CloseAttempt)
            .then([])
            .then_sent([])
            .then_scheduled([ExpectedTimer::set("time-limit", At(time(ENDS)), CloseAttempt)]);
    }

    #[test]
    fn an_attempt_that_is_closed_is_not_closed_again() {
        for closed in [vec![submitted(0)], vec![timed_out(0)], vec![submitted(0), passed(1.0)]] {
            let past = [running(), closed].concat();
            Given::<AssessmentAttempt>::events(past).at(time(ENDS)).when(CloseAttempt).then([]).then_sent([]);
        }
        Given::<AssessmentAttempt>::nothing().when(CloseAttempt).then([]).then_scheduled([]);
    }
}

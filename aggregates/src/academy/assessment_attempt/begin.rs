//! `BeginAttempt`: the assessment has admitted the attempt. From now on, time runs.

use std::time::Duration;

use dormouse_kernel::{At, Context, Timestamp};

use super::{AssessmentAttempt, AssessmentAttemptCommand, AssessmentAttemptEvent, AttemptStatus, TIME_LIMIT};
use crate::academy::{Question, Score, TimeLimit};

impl AssessmentAttempt {
    pub(super) fn begin(
        &self,
        questions: Vec<Question>,
        pass_mark: Score,
        time_limit_seconds: TimeLimit,
        context: &mut Context<Self>,
    ) {
        if self.status != Some(AttemptStatus::Requested) {
            return;
        }
        let limit = Duration::from_secs(time_limit_seconds.get().into());
        let ends_at = context.now().checked_add(limit).unwrap_or(Timestamp::MAX);
        context.emit(AssessmentAttemptEvent::AttemptBegan { questions, pass_mark, ends_at });
        context.schedule(TIME_LIMIT, At(ends_at), AssessmentAttemptCommand::CloseAttempt);
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{After, ExpectedTimer, Given};

    use super::*;
    use crate::academy::AssessmentAttemptCommand::CloseAttempt;
    use crate::academy::AttemptReply;
    use crate::academy::assessment_attempt::stories::{BEGAN, ENDS, began, begin, refused, requested, running};
    use crate::academy::stories::time;

    #[test]
    fn the_time_runs_from_the_answer_of_the_assessment() {
        Given::<AssessmentAttempt>::events([requested()])
            .at(time(BEGAN))
            .when(begin())
            .then([began()])
            .then_scheduled([ExpectedTimer::set("time-limit", After(Duration::from_secs(600)), CloseAttempt)])
            .and_replies(&AttemptReply {
                status: Some(AttemptStatus::Running),
                answered: 0,
                ends_at: Some(time(ENDS)),
                score: None,
            });
    }

    #[test]
    fn an_attempt_begins_once_and_only_when_it_was_requested() {
        for past in [vec![], vec![requested(), refused()], running()] {
            Given::<AssessmentAttempt>::events(past).when(begin()).then([]).then_scheduled([]);
        }
    }
}

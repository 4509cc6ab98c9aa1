//! `RecordScore`: the assessment has graded the attempt.

use dormouse_kernel::Context;

use super::{AssessmentAttempt, AssessmentAttemptEvent, AttemptStatus};
use crate::academy::Score;

impl AssessmentAttempt {
    pub(super) fn record_score(&self, score: Score, context: &mut Context<Self>) {
        let (Some(AttemptStatus::Closed), Some(assessment), Some(user)) = (self.status, &self.assessment, &self.user)
        else {
            return;
        };
        let (assessment, user) = (assessment.clone(), user.clone());
        context.emit(if score >= self.pass_mark {
            AssessmentAttemptEvent::AttemptPassed { assessment, user, score }
        } else {
            AssessmentAttemptEvent::AttemptFailed { assessment, user, score }
        });
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::academy::AssessmentAttemptCommand::RecordScore;
    use crate::academy::assessment_attempt::stories::{failed, passed, requested, running, submitted, timed_out};
    use crate::academy::stories::score;

    #[test]
    fn a_score_passes_if_it_reaches_the_pass_mark() {
        for closed in [submitted(0), timed_out(0)] {
            let given = || Given::<AssessmentAttempt>::events([running(), vec![closed.clone()]].concat());
            let after = given().when(RecordScore { score: score(0.75) }).then([passed(0.75)]);
            assert_eq!((after.state().status, after.state().score), (Some(AttemptStatus::Passed), Some(score(0.75))));
            let after = given().when(RecordScore { score: score(0.749_999) }).then([failed(0.749_999)]);
            assert_eq!(after.state().status, Some(AttemptStatus::Failed));
        }
    }

    #[test]
    fn a_score_counts_once_and_only_after_the_attempt_is_closed() {
        let graded = [running(), vec![submitted(0), failed(0.5)]].concat();
        for past in [vec![], vec![requested()], running(), graded] {
            Given::<AssessmentAttempt>::events(past).when(RecordScore { score: Score::MAX }).then([]);
        }
    }
}

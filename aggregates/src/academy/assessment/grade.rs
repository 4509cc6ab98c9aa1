//! `GradeAttempt`: compares answers with the right ones, by weight, and sends the score to the attempt.

use std::collections::BTreeMap;

use dormouse_kernel::Context;

use super::{Assessment, AssessmentRejection, Question};
use crate::academy::{AssessmentAttempt, AssessmentAttemptCommand, AttemptId, ChoiceId, QuestionId, Score};

impl Assessment {
    pub(super) fn grade(
        &self,
        attempt: &AttemptId,
        answers: &BTreeMap<QuestionId, ChoiceId>,
        context: &mut Context<Self>,
    ) -> Result<(), AssessmentRejection> {
        self.created()?;
        let is_right = |question: &&Question| match (answers.get(&question.id), self.answer_key.get(&question.id)) {
            (Some(answer), Some(right)) => answer == right,
            _ => false,
        };
        // At most 100 questions with a weight of at most 1,000: the sums fit.
        let all = self.questions.iter().map(|question| question.weight.get()).sum();
        let earned = self.questions.iter().filter(is_right).map(|question| question.weight.get()).sum();
        let score = Score::of_points(earned, all);
        context.send::<AssessmentAttempt>(attempt.as_str(), AssessmentAttemptCommand::RecordScore { score });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::academy::assessment::stories::{created, grade};

    #[track_caller]
    fn gets(answers: &[(&str, &str)], millionths: u64) {
        let score = Score::from_millionths(millionths);
        let told = AssessmentAttemptCommand::RecordScore { score };
        Given::<Assessment>::events(created(&[("q-1", 3, "c-2", 5), ("q-2", 2, "c-1", 1), ("q-3", 2, "c-2", 1)]))
            .when(grade("t-1", answers))
            .then([])
            .then_sent([Message::to::<AssessmentAttempt>("t-1", told)])
            .and_replies(&());
    }

    #[test]
    fn right_answers_count_by_their_weight() {
        gets(&[("q-1", "c-2"), ("q-2", "c-1"), ("q-3", "c-2")], 1_000_000);
        gets(&[("q-1", "c-2")], 714_285);
        gets(&[("q-1", "c-1"), ("q-2", "c-1"), ("q-3", "c-2")], 285_714);
    }

    #[test]
    fn wrong_missing_and_unknown_answers_do_not_count() {
        gets(&[], 0);
        gets(&[("q-1", "c-9"), ("q-9", "c-2")], 0);
    }

    #[test]
    fn an_assessment_that_does_not_exist_grades_nothing() {
        Given::<Assessment>::nothing().when(grade("t-1", &[])).then_rejected("no-such-assessment");
    }
}

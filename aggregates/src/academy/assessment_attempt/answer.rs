//! `Answer`: answers a question while the time runs. The last answer counts.

use dormouse_kernel::Context;

use super::{AssessmentAttempt, AssessmentAttemptEvent, AssessmentAttemptRejection};
use crate::academy::{ChoiceId, QuestionId};

impl AssessmentAttempt {
    pub(super) fn answer(
        &self,
        question: QuestionId,
        choice: ChoiceId,
        context: &mut Context<Self>,
    ) -> Result<(), AssessmentAttemptRejection> {
        self.running(context.now())?;
        let Some(asked) = self.questions.iter().find(|asked| asked.id == question) else {
            return Err(AssessmentAttemptRejection::NoSuchQuestion { question });
        };
        if !asked.choices.contains(&choice) {
            return Err(AssessmentAttemptRejection::NoSuchChoice { question, choice });
        }
        if self.answers.get(&question) != Some(&choice) {
            context.emit(AssessmentAttemptEvent::QuestionAnswered { question, choice });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, When};

    use super::*;
    use crate::academy::AssessmentAttemptCommand;
    use crate::academy::assessment_attempt::stories::{
        BEGAN, ENDS, answer, answered, passed, requested, running, submitted, timed_out,
    };
    use crate::academy::stories::{choice, question, time};

    fn after(
        past: Vec<AssessmentAttemptEvent>,
        at: &str,
        command: AssessmentAttemptCommand,
    ) -> When<AssessmentAttempt> {
        Given::events(past).at(time(at)).when(command)
    }

    #[test]
    fn a_question_is_answered_and_the_last_answer_counts() {
        let after = after([running(), vec![answered("q-1", "c-1")]].concat(), BEGAN, answer("q-1", "c-2"))
            .then([answered("q-1", "c-2")]);
        assert_eq!(after.state().answers.get(&question("q-1")), Some(&choice("c-2")));
    }

    #[test]
    fn the_same_answer_again_changes_nothing() {
        after([running(), vec![answered("q-1", "c-1")]].concat(), BEGAN, answer("q-1", "c-1")).then([]);
    }

    #[test]
    fn only_questions_and_choices_of_the_assessment_can_be_answered() {
        after(running(), BEGAN, answer("q-9", "c-1")).then_rejected("no-such-question");
        after(running(), BEGAN, answer("q-1", "c-9")).then_rejected("no-such-choice");
    }

    #[test]
    fn a_late_answer_is_refused_also_if_the_timer_is_late() {
        after(running(), "2026-11-20T12:09:59.999999Z", answer("q-1", "c-1")).then([answered("q-1", "c-1")]);
        after(running(), ENDS, answer("q-1", "c-1")).then_rejected("time-is-up");
    }

    #[test]
    fn an_attempt_that_does_not_run_takes_no_answer() {
        after(vec![], BEGAN, answer("q-1", "c-1")).then_rejected("attempt-not-started");
        after(vec![requested()], BEGAN, answer("q-1", "c-1")).then_rejected("attempt-not-running");
        for closed in [vec![submitted(0)], vec![timed_out(0)], vec![submitted(0), passed(1.0)]] {
            after([running(), closed].concat(), BEGAN, answer("q-1", "c-1")).then_rejected("attempt-not-running");
        }
    }
}

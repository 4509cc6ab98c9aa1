//! `AdmitAttempt`: begins an attempt, if the user has one left.

use dormouse_kernel::Context;

use super::{Assessment, AssessmentEvent, AssessmentRejection};
use crate::academy::{AssessmentAttempt, AssessmentAttemptCommand, AttemptId, UserId, limits};

impl Assessment {
    pub(super) fn admit(
        &self,
        attempt: AttemptId,
        user: UserId,
        context: &mut Context<Self>,
    ) -> Result<(), AssessmentRejection> {
        let rules = self.created()?;
        let begun = self.attempts.get(&user).copied();
        let number = begun.unwrap_or_default().saturating_add(1);
        if number > rules.attempts_allowed.get() {
            return Err(AssessmentRejection::NoAttemptsLeft { allowed: rules.attempts_allowed });
        }
        if begun.is_none() && self.attempts.len() >= limits::LEARNERS {
            return Err(AssessmentRejection::TooManyLearners);
        }
        let begin = AssessmentAttemptCommand::BeginAttempt {
            questions: self.questions.clone(),
            pass_mark: rules.pass_mark,
            time_limit_seconds: rules.time_limit_seconds,
        };
        context.send::<AssessmentAttempt>(attempt.as_str(), begin);
        context.emit(AssessmentEvent::AttemptAdmitted { attempt, user, number });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::academy::assessment::stories::{admit, admitted, created, questions, rules};

    fn given(past: impl IntoIterator<Item = AssessmentEvent>) -> Given<Assessment> {
        Given::events(created(&[("q-1", 2, "c-1", 1)]).into_iter().chain(past))
    }

    #[test]
    fn an_attempt_gets_the_questions_without_the_answers() {
        let begin = AssessmentAttemptCommand::BeginAttempt {
            questions: questions(&[("q-1", 2, "c-1", 1)]),
            pass_mark: rules().pass_mark,
            time_limit_seconds: rules().time_limit_seconds,
        };
        given([])
            .when(admit("t-1", "ada"))
            .then([admitted("t-1", "ada", 1)])
            .then_sent([Message::to::<AssessmentAttempt>("t-1", begin)]);
    }

    #[test]
    fn each_user_has_the_attempts_that_are_allowed() {
        let twice = [admitted("t-1", "ada", 1), admitted("t-2", "ada", 2)];
        given(twice.clone()).when(admit("t-3", "ada")).then_rejected("no-attempts-left").then_sent([]);
        given(twice).when(admit("t-3", "grace")).then([admitted("t-3", "grace", 1)]);
    }

    #[test]
    fn an_assessment_that_does_not_exist_admits_nobody() {
        Given::<Assessment>::nothing().when(admit("t-1", "ada")).then_rejected("no-such-assessment");
    }

    #[test]
    fn the_number_of_learners_is_limited() {
        let full = || (0..limits::LEARNERS).map(|n| admitted("t-1", &format!("user-{n}"), 1));
        given(full()).when(admit("t-1", "ada")).then_rejected("too-many-learners");
        given(full()).when(admit("t-2", "user-7")).then([admitted("t-2", "user-7", 2)]);
    }
}

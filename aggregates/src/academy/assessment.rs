//! An assessment: questions, the right answers to them, and how often and how long a learner may try.

mod admit;
mod create;
mod grade;
mod question;
mod rejection;
#[cfg(test)]
mod stories;

use std::collections::BTreeMap;

use dormouse_kernel::{Aggregate, Context, DomainEvent};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::question::{NewQuestion, Question};
pub use self::rejection::AssessmentRejection;
use super::{AssessmentId, AttemptId, ChoiceId, Name, QuestionId, Score, UserId, limits};

/// An assessment. The aggregate's id is the [`AssessmentId`].
///
/// It has the right answers, so it grades. They are in a single event, [`AssessmentEvent::AnswerKeySet`], and in the
/// state of this aggregate: applications let only authors read these. An attempt never gets them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Assessment {
    /// The rules, once the assessment is created.
    pub rules: Option<AssessmentRules>,
    /// The questions.
    pub questions: Vec<Question>,
    /// The right answer to each question.
    pub answer_key: BTreeMap<QuestionId, ChoiceId>,
    /// How many attempts each learner has begun.
    pub attempts: BTreeMap<UserId, u32>,
}

/// What an assessment asks of a learner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssessmentRules {
    /// The title.
    pub title: Name,
    /// How many attempts a learner has.
    pub attempts_allowed: AttemptsAllowed,
    /// The score that passes.
    pub pass_mark: Score,
    /// How long an attempt may last.
    pub time_limit_seconds: TimeLimit,
}

number_value! {
    /// How much a question counts, relative to the others: 1 to 1,000.
    Weight(u32), "the weight", 1, limits::WEIGHT
}

number_value! {
    /// How many attempts a learner has: 1 to 100.
    AttemptsAllowed(u32), "the number of attempts", 1, limits::ATTEMPTS
}

number_value! {
    /// How many seconds an attempt may last: 1 to 604,800, a week.
    TimeLimit(u32), "the time limit in seconds", 1, limits::ATTEMPT_SECONDS
}

/// The commands of an assessment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum AssessmentCommand {
    /// Creates the assessment.
    CreateAssessment {
        /// The title.
        title: Name,
        /// The questions: 1 to 100.
        #[schemars(length(min = 1, max = 100))]
        questions: Vec<NewQuestion>,
        /// How many attempts a learner has.
        attempts_allowed: AttemptsAllowed,
        /// The score that passes.
        pass_mark: Score,
        /// How long an attempt may last.
        time_limit_seconds: TimeLimit,
    },
    /// Begins an attempt of a user, if one is left. Only the attempt sends it.
    AdmitAttempt {
        /// The attempt.
        attempt: AttemptId,
        /// The user.
        user: UserId,
    },
    /// Sends the attempt its score. Only the attempt sends it.
    GradeAttempt {
        /// The attempt.
        attempt: AttemptId,
        /// The answer to each question that was answered.
        answers: BTreeMap<QuestionId, ChoiceId>,
    },
}

/// The events of an assessment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AssessmentEvent {
    /// The assessment was created.
    AssessmentCreated {
        /// The title.
        title: Name,
        /// The questions, without the right answers.
        questions: Vec<Question>,
        /// How many attempts a learner has.
        attempts_allowed: AttemptsAllowed,
        /// The score that passes.
        pass_mark: Score,
        /// How long an attempt may last.
        time_limit_seconds: TimeLimit,
    },
    /// The right answers, which no view may show.
    AnswerKeySet {
        /// The right answer to each question.
        right: BTreeMap<QuestionId, ChoiceId>,
    },
    /// A user began an attempt.
    AttemptAdmitted {
        /// The attempt.
        attempt: AttemptId,
        /// The user.
        user: UserId,
        /// Which attempt of this user it is, from 1.
        number: u32,
    },
}

impl DomainEvent for AssessmentEvent {}

impl Aggregate for Assessment {
    const TYPE: &'static str = "assessment";
    const INTERNAL_COMMANDS: &'static [&'static str] = &["AdmitAttempt", "GradeAttempt"];
    type Command = AssessmentCommand;
    type Event = AssessmentEvent;
    /// Nothing: a score in a reply would tell the sender which answers are right.
    type Reply = ();
    type Rejection = AssessmentRejection;

    fn decide(&self, command: AssessmentCommand, context: &mut Context<Self>) -> Result<(), AssessmentRejection> {
        AssessmentId::new(context.id().as_str()).map_err(AssessmentRejection::InvalidAssessmentId)?;
        match command {
            AssessmentCommand::CreateAssessment {
                title,
                questions,
                attempts_allowed,
                pass_mark,
                time_limit_seconds,
            } => {
                let rules = AssessmentRules { title, attempts_allowed, pass_mark, time_limit_seconds };
                self.create(rules, questions, context)
            }
            AssessmentCommand::AdmitAttempt { attempt, user } => self.admit(attempt, user, context),
            AssessmentCommand::GradeAttempt { attempt, answers } => self.grade(&attempt, &answers, context),
        }
    }

    fn evolve(&mut self, event: &AssessmentEvent) {
        match event.clone() {
            AssessmentEvent::AssessmentCreated {
                title,
                questions,
                attempts_allowed,
                pass_mark,
                time_limit_seconds,
            } => {
                self.rules = Some(AssessmentRules { title, attempts_allowed, pass_mark, time_limit_seconds });
                self.questions = questions;
            }
            AssessmentEvent::AnswerKeySet { right } => self.answer_key = right,
            AssessmentEvent::AttemptAdmitted { user, number, .. } => _ = self.attempts.insert(user, number),
        }
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl Assessment {
    /// The rules, for all commands that need an assessment that was created.
    fn created(&self) -> Result<&AssessmentRules, AssessmentRejection> {
        self.rules.as_ref().ok_or(AssessmentRejection::NotCreated)
    }
}

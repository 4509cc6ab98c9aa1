//! One attempt of a user at an assessment: it begins, is answered, and is closed by the user or by the clock.

mod answer;
mod begin;
mod close;
mod record_score;
mod refuse;
mod rejection;
mod start;
#[cfg(test)]
mod stories;
mod submit;

use std::collections::BTreeMap;

use dormouse_kernel::{Aggregate, AggregateId, Context, DomainEvent, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::rejection::AssessmentAttemptRejection;
use super::{
    Assessment, AssessmentCommand, AssessmentId, AttemptId, ChoiceId, Question, QuestionId, Score, TimeLimit, UserId,
};

/// The timer that closes the attempt.
const TIME_LIMIT: &str = "time-limit";

/// An attempt at an assessment. The aggregate's id is the [`AttemptId`], which the client chooses.
///
/// The assessment admits the attempt, and later grades it: the attempt never has the right answers. When the time is up,
/// answers are refused, also if the timer is late. The timer closes the attempt with the answers that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssessmentAttempt {
    /// The status. `None` before the attempt is started.
    pub status: Option<AttemptStatus>,
    /// The assessment.
    pub assessment: Option<AssessmentId>,
    /// The user.
    pub user: Option<UserId>,
    /// The questions, once the attempt has begun.
    pub questions: Vec<Question>,
    /// The score that passes.
    pub pass_mark: Score,
    /// When the time is up, once the attempt has begun.
    pub ends_at: Option<Timestamp>,
    /// The answers so far.
    pub answers: BTreeMap<QuestionId, ChoiceId>,
    /// The score, once it is known.
    pub score: Option<Score>,
    /// The code of the assessment's refusal, if it refused.
    pub refused_because: Option<String>,
}

/// The status of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptStatus {
    /// The assessment has not answered yet.
    Requested,
    /// The assessment refused.
    Refused,
    /// The user may answer.
    Running,
    /// The attempt is closed, and the score not known yet.
    Closed,
    /// The score reached the pass mark.
    Passed,
    /// The score did not reach the pass mark.
    Failed,
}

/// The commands of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum AssessmentAttemptCommand {
    /// Asks the assessment for an attempt.
    StartAttempt {
        /// The assessment.
        assessment: AssessmentId,
        /// The user.
        user: UserId,
    },
    /// Begins the attempt. Only the assessment sends it.
    BeginAttempt {
        /// The questions.
        questions: Vec<Question>,
        /// The score that passes.
        pass_mark: Score,
        /// How long the attempt may last, from now.
        time_limit_seconds: TimeLimit,
    },
    /// The assessment refused. Only a refusal leads to it.
    RefuseAttempt,
    /// Answers a question, or changes its answer.
    Answer {
        /// The question.
        question: QuestionId,
        /// The choice.
        choice: ChoiceId,
    },
    /// Closes the attempt before its time is up.
    Submit,
    /// Closes the attempt if its time is up. A timer sends it.
    CloseAttempt,
    /// The score. Only the assessment sends it.
    RecordScore {
        /// The score.
        score: Score,
    },
}

/// The events of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AssessmentAttemptEvent {
    /// The user asked for an attempt.
    AttemptRequested {
        /// The assessment.
        assessment: AssessmentId,
        /// The user.
        user: UserId,
    },
    /// The assessment refused.
    AttemptRefused {
        /// The code of the refusal.
        reason: String,
    },
    /// The time runs.
    AttemptBegan {
        /// The questions.
        questions: Vec<Question>,
        /// The score that passes.
        pass_mark: Score,
        /// When the time is up.
        ends_at: Timestamp,
    },
    /// The user answered a question, or changed its answer.
    QuestionAnswered {
        /// The question.
        question: QuestionId,
        /// The choice.
        choice: ChoiceId,
    },
    /// The user closed the attempt.
    AttemptSubmitted {
        /// How many questions are answered.
        answered: usize,
    },
    /// The time was up.
    AttemptTimedOut {
        /// How many questions are answered.
        answered: usize,
    },
    /// The score reached the pass mark.
    AttemptPassed {
        /// The assessment.
        assessment: AssessmentId,
        /// The user.
        user: UserId,
        /// The score.
        score: Score,
    },
    /// The score did not reach the pass mark.
    AttemptFailed {
        /// The assessment.
        assessment: AssessmentId,
        /// The user.
        user: UserId,
        /// The score.
        score: Score,
    },
}

impl DomainEvent for AssessmentAttemptEvent {}

/// The reply to every command: the attempt after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptReply {
    /// The status. `None` before the attempt is started.
    pub status: Option<AttemptStatus>,
    /// How many questions are answered.
    pub answered: usize,
    /// When the time is up, once the attempt has begun.
    pub ends_at: Option<Timestamp>,
    /// The score, once it is known.
    pub score: Option<Score>,
}

impl Aggregate for AssessmentAttempt {
    const TYPE: &'static str = "assessment-attempt";
    const INTERNAL_COMMANDS: &'static [&'static str] =
        &["BeginAttempt", "RefuseAttempt", "CloseAttempt", "RecordScore"];
    type Command = AssessmentAttemptCommand;
    type Event = AssessmentAttemptEvent;
    type Reply = AttemptReply;
    type Rejection = AssessmentAttemptRejection;

    fn decide(
        &self,
        command: AssessmentAttemptCommand,
        context: &mut Context<Self>,
    ) -> Result<AttemptReply, AssessmentAttemptRejection> {
        use AssessmentAttemptCommand as Command;

        let attempt = AttemptId::new(context.id().as_str()).map_err(AssessmentAttemptRejection::InvalidAttemptId)?;
        match command {
            Command::StartAttempt { assessment, user } => self.start(attempt, assessment, user, context)?,
            Command::BeginAttempt { questions, pass_mark, time_limit_seconds } => {
                self.begin(questions, pass_mark, time_limit_seconds, context);
            }
            Command::RefuseAttempt => self.refuse(context)?,
            Command::Answer { question, choice } => self.answer(question, choice, context)?,
            Command::Submit => self.submit(attempt, context)?,
            Command::CloseAttempt => self.close(attempt, context),
            Command::RecordScore { score } => self.record_score(score, context),
        }
        let Self { status, answers, ends_at, score, .. } = context.state();
        Ok(AttemptReply { status: *status, answered: answers.len(), ends_at: *ends_at, score: *score })
    }

    fn evolve(&mut self, event: &AssessmentAttemptEvent) {
        use AssessmentAttemptEvent as Event;

        match event.clone() {
            Event::AttemptRequested { assessment, user } => {
                self.status = Some(AttemptStatus::Requested);
                (self.assessment, self.user) = (Some(assessment), Some(user));
            }
            Event::AttemptRefused { reason } => {
                self.status = Some(AttemptStatus::Refused);
                self.refused_because = Some(reason);
            }
            Event::AttemptBegan { questions, pass_mark, ends_at } => {
                self.status = Some(AttemptStatus::Running);
                (self.questions, self.pass_mark, self.ends_at) = (questions, pass_mark, Some(ends_at));
            }
            Event::QuestionAnswered { question, choice } => _ = self.answers.insert(question, choice),
            Event::AttemptSubmitted { .. } | Event::AttemptTimedOut { .. } => self.status = Some(AttemptStatus::Closed),
            Event::AttemptPassed { score, .. } => self.grade(AttemptStatus::Passed, score),
            Event::AttemptFailed { score, .. } => self.grade(AttemptStatus::Failed, score),
        }
    }

    fn owner<'a>(&'a self, _: &'a AggregateId) -> Option<&'a str> {
        self.user.as_ref().map(UserId::as_str)
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl AssessmentAttempt {
    /// Checks that the user may still answer. The timer may be late, so the time decides.
    fn running(&self, now: Timestamp) -> Result<(), AssessmentAttemptRejection> {
        let status = self.status.ok_or(AssessmentAttemptRejection::NotStarted)?;
        if status != AttemptStatus::Running {
            return Err(AssessmentAttemptRejection::NotRunning { status });
        }
        if self.ends_at.is_some_and(|ends_at| now >= ends_at) {
            return Err(AssessmentAttemptRejection::TimeIsUp);
        }
        Ok(())
    }

    /// Sends the answers to the assessment, which answers with the score.
    fn send_answers(&self, attempt: AttemptId, context: &mut Context<Self>) {
        if let Some(assessment) = &self.assessment {
            let grade = AssessmentCommand::GradeAttempt { attempt, answers: self.answers.clone() };
            context.send::<Assessment>(assessment.as_str(), grade);
        }
    }

    fn grade(&mut self, status: AttemptStatus, score: Score) {
        (self.status, self.score) = (Some(status), Some(score));
    }
}

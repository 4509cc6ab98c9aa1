//! The progress of one user in one lesson.

mod record;
mod rejection;
mod report_completion;
#[cfg(test)]
mod stories;

use dormouse_kernel::{Aggregate, AggregateId, Context, DomainEvent};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::rejection::LessonProgressRejection;
use super::{CourseId, LessonId, Score, UserId};

/// The progress of a user in a lesson. The aggregate's id is [`LessonProgress::id`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LessonProgress {
    /// The user, once there is progress.
    pub user: Option<UserId>,
    /// The lesson, once there is progress.
    pub lesson: Option<LessonId>,
    /// The best score.
    pub best_score: Score,
    /// How often progress was recorded.
    pub attempts: u32,
    /// The time that the user has spent with the lesson.
    pub total_time_spent_seconds: u64,
    /// Whether a score reached the pass score.
    pub completed: bool,
}

/// The commands of a lesson's progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum LessonProgressCommand {
    /// Records what the user has achieved. The numbers come from a learner's client, so they are checked when the
    /// command is decided: their refusals have stable codes.
    RecordProgress {
        /// The user.
        user: UserId,
        /// The lesson.
        lesson: LessonId,
        /// The score, from 0 to 1.
        #[schemars(range(min = 0, max = 1))]
        score: f64,
        /// The seconds spent since the last report, at most a day.
        #[schemars(range(min = 0, max = 86_400))]
        time_spent_seconds: u64,
        /// The score that completes the lesson, from 0 to 1. Default: 0.8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 0, max = 1))]
        pass_score: Option<f64>,
    },
    /// Tells the user's enrolment in a course whether the lesson is completed. Only an enrolment sends it.
    ReportCompletion {
        /// The course.
        course: CourseId,
    },
}

/// The events of a lesson's progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LessonProgressEvent {
    /// The user has begun the lesson.
    LessonStarted {
        /// The user.
        user: UserId,
        /// The lesson.
        lesson: LessonId,
    },
    /// The user has learned.
    ProgressRecorded {
        /// The user.
        user: UserId,
        /// The lesson.
        lesson: LessonId,
        /// The score.
        score: Score,
        /// The seconds spent since the last report.
        time_spent_seconds: u64,
    },
    /// A score reached the pass score for the first time.
    LessonCompleted {
        /// The user.
        user: UserId,
        /// The lesson.
        lesson: LessonId,
        /// The score.
        score: Score,
    },
}

impl DomainEvent for LessonProgressEvent {}

/// The reply to every command: the progress after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressReply {
    /// Whether the lesson is completed.
    pub completed: bool,
    /// The best score.
    pub best_score: Score,
    /// How often progress was recorded.
    pub attempts: u32,
    /// The time that the user has spent with the lesson.
    pub total_time_spent_seconds: u64,
}

impl Aggregate for LessonProgress {
    const TYPE: &'static str = "lesson-progress";
    const INTERNAL_COMMANDS: &'static [&'static str] = &["ReportCompletion"];
    type Command = LessonProgressCommand;
    type Event = LessonProgressEvent;
    type Reply = ProgressReply;
    type Rejection = LessonProgressRejection;

    fn decide(
        &self,
        command: LessonProgressCommand,
        context: &mut Context<Self>,
    ) -> Result<ProgressReply, LessonProgressRejection> {
        match command {
            LessonProgressCommand::RecordProgress { user, lesson, score, time_spent_seconds, pass_score } => {
                self.record((user, lesson), score, time_spent_seconds, pass_score, context)?;
            }
            LessonProgressCommand::ReportCompletion { course } => self.report_completion(&course, context),
        }
        Ok(context.state().reply())
    }

    fn evolve(&mut self, event: &LessonProgressEvent) {
        match event {
            LessonProgressEvent::LessonStarted { user, lesson } => {
                self.user = Some(user.clone());
                self.lesson = Some(lesson.clone());
            }
            LessonProgressEvent::ProgressRecorded { score, time_spent_seconds, .. } => {
                self.best_score = self.best_score.max(*score);
                self.attempts = self.attempts.saturating_add(1);
                self.total_time_spent_seconds = self.total_time_spent_seconds.saturating_add(*time_spent_seconds);
            }
            LessonProgressEvent::LessonCompleted { .. } => self.completed = true,
        }
    }

    fn owner<'a>(&'a self, _: &'a AggregateId) -> Option<&'a str> {
        self.user.as_ref().map(UserId::as_str)
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl LessonProgress {
    /// The id of the aggregate: the user and the lesson, with a colon between them.
    #[must_use]
    pub fn id(user: &UserId, lesson: &LessonId) -> String {
        format!("{user}:{lesson}")
    }

    fn reply(&self) -> ProgressReply {
        ProgressReply {
            completed: self.completed,
            best_score: self.best_score,
            attempts: self.attempts,
            total_time_spent_seconds: self.total_time_spent_seconds,
        }
    }
}

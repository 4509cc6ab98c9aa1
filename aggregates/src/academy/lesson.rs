//! A lesson: which course it belongs to.

mod assign;
mod learner_completed;
mod rejection;

use dormouse_kernel::{Aggregate, Context, DomainEvent};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::rejection::LessonRejection;
use super::{CourseId, LessonId, UserId};

/// A lesson. The aggregate's id is the [`LessonId`]. It belongs to at most one course, so that a completed lesson leads
/// to the learner's enrolment. A lesson without a course can be learned, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lesson {
    /// The course that it belongs to, if there is one.
    pub course: Option<CourseId>,
}

/// The commands of a lesson. Only courses and reactors send them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum LessonCommand {
    /// Assigns the lesson to a course, unless it belongs to another one.
    AssignLesson {
        /// The course.
        course: CourseId,
    },
    /// Tells the enrolment of a user that the user has completed the lesson.
    LearnerCompleted {
        /// The user.
        user: UserId,
    },
}

/// The events of a lesson.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LessonEvent {
    /// The lesson belongs to a course now.
    AssignedToCourse {
        /// The course.
        course: CourseId,
    },
}

impl DomainEvent for LessonEvent {}

/// The reply to every command: the lesson after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LessonReply {
    /// The course that it belongs to, if there is one.
    pub course: Option<CourseId>,
}

impl Aggregate for Lesson {
    const TYPE: &'static str = "lesson";
    const INTERNAL_COMMANDS: &'static [&'static str] = &["AssignLesson", "LearnerCompleted"];
    type Command = LessonCommand;
    type Event = LessonEvent;
    type Reply = LessonReply;
    type Rejection = LessonRejection;

    fn decide(&self, command: LessonCommand, context: &mut Context<Self>) -> Result<LessonReply, LessonRejection> {
        let lesson = LessonId::new(context.id().as_str()).map_err(LessonRejection::InvalidLessonId)?;
        match command {
            LessonCommand::AssignLesson { course } => self.assign(lesson, course, context)?,
            LessonCommand::LearnerCompleted { user } => self.learner_completed(lesson, &user, context),
        }
        Ok(LessonReply { course: context.state().course.clone() })
    }

    fn evolve(&mut self, event: &LessonEvent) {
        match event {
            LessonEvent::AssignedToCourse { course } => self.course = Some(course.clone()),
        }
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

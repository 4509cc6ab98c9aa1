//! A course: its lessons, and what must be completed before each of them.

mod add_lesson;
mod admit;
mod course_lesson;
mod create;
mod prerequisites;
mod rejection;
mod settle_lesson;
#[cfg(test)]
pub(super) mod stories;

use std::collections::BTreeSet;

use dormouse_kernel::{Aggregate, Context, DomainEvent};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::course_lesson::{CourseLesson, NewLesson};
pub use self::rejection::CourseRejection;
use super::{CourseId, Lesson, LessonCommand, LessonId, Name, UserId};

/// A course. The aggregate's id is the [`CourseId`].
///
/// A lesson belongs to one course. So the course asks each [`Lesson`], and nobody can enrol before all have answered. A
/// lesson that belongs to another course is removed from this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Course {
    /// The title, once the course is created.
    pub title: Option<Name>,
    /// The lessons, in the order in which they were added.
    pub lessons: Vec<CourseLesson>,
    /// The lessons that have not answered yet.
    pub pending: BTreeSet<LessonId>,
}

/// The commands of a course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum CourseCommand {
    /// Creates the course.
    CreateCourse {
        /// The title.
        title: Name,
        /// The lessons: at most 200. Their order does not matter to the prerequisites.
        #[schemars(length(max = 200))]
        lessons: Vec<NewLesson>,
    },
    /// Adds a lesson. Learners who have enrolled before do not get it.
    AddLesson {
        /// The lesson.
        lesson: NewLesson,
    },
    /// The lesson belongs to this course now. Only the lesson sends it.
    ConfirmLesson {
        /// The lesson.
        lesson: LessonId,
    },
    /// The lesson refused to belong to this course. Only a refusal leads to it.
    RefuseLesson {
        /// The lesson.
        lesson: LessonId,
    },
    /// Sends the lessons to the enrolment of a user. Only the enrolment sends it.
    AdmitLearner {
        /// The user.
        user: UserId,
    },
}

/// The events of a course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CourseEvent {
    /// The course was created.
    CourseCreated {
        /// The title.
        title: Name,
        /// The lessons, which have not answered yet.
        lessons: Vec<CourseLesson>,
    },
    /// A lesson was added, which has not answered yet.
    LessonAdded {
        /// The lesson.
        lesson: CourseLesson,
    },
    /// A lesson belongs to the course.
    LessonConfirmed {
        /// The lesson.
        lesson: LessonId,
    },
    /// A lesson does not belong to the course. Others do not require it any more.
    LessonRemoved {
        /// The lesson.
        lesson: LessonId,
        /// The code of the lesson's refusal.
        reason: String,
    },
}

impl DomainEvent for CourseEvent {}

/// The reply to every command: the course after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CourseReply {
    /// How many lessons it has.
    pub lessons: usize,
    /// How many of them have not answered yet. Nobody can enrol before that.
    pub pending: usize,
}

impl Aggregate for Course {
    const TYPE: &'static str = "course";
    const INTERNAL_COMMANDS: &'static [&'static str] = &["ConfirmLesson", "RefuseLesson", "AdmitLearner"];
    type Command = CourseCommand;
    type Event = CourseEvent;
    type Reply = CourseReply;
    type Rejection = CourseRejection;

    fn decide(&self, command: CourseCommand, context: &mut Context<Self>) -> Result<CourseReply, CourseRejection> {
        let course = CourseId::new(context.id().as_str()).map_err(CourseRejection::InvalidCourseId)?;
        match command {
            CourseCommand::CreateCourse { title, lessons } => self.create(&course, title, lessons, context)?,
            CourseCommand::AddLesson { lesson } => self.add_lesson(&course, lesson, context)?,
            CourseCommand::ConfirmLesson { lesson } => self.confirm_lesson(lesson, context),
            CourseCommand::RefuseLesson { lesson } => self.remove_lesson(lesson, context)?,
            CourseCommand::AdmitLearner { user } => self.admit(&course, &user, context)?,
        }
        let course = context.state();
        Ok(CourseReply { lessons: course.lessons.len(), pending: course.pending.len() })
    }

    fn evolve(&mut self, event: &CourseEvent) {
        match event {
            CourseEvent::CourseCreated { title, lessons } => {
                self.title = Some(title.clone());
                lessons.iter().for_each(|lesson| self.take(lesson.clone()));
            }
            CourseEvent::LessonAdded { lesson } => self.take(lesson.clone()),
            CourseEvent::LessonConfirmed { lesson } => _ = self.pending.remove(lesson),
            CourseEvent::LessonRemoved { lesson, .. } => {
                self.pending.remove(lesson);
                self.lessons.retain(|other| other.id != *lesson);
                for other in &mut self.lessons {
                    other.prerequisites.retain(|required| required != lesson);
                }
            }
        }
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl Course {
    fn take(&mut self, lesson: CourseLesson) {
        self.pending.insert(lesson.id.clone());
        self.lessons.push(lesson);
    }

    /// Asks a lesson to belong to this course.
    fn ask(course: &CourseId, lesson: &LessonId, context: &mut Context<Self>) {
        let assign = LessonCommand::AssignLesson { course: course.clone() };
        let refused = CourseCommand::RefuseLesson { lesson: lesson.clone() };
        context.send::<Lesson>(lesson.as_str(), assign).on_refused(refused);
    }
}

//! One learner's way through a course: what is completed, and what that unlocks.

mod begin;
mod complete_lesson;
mod enrol;
mod refuse;
mod rejection;
#[cfg(test)]
mod stories;

use std::collections::BTreeSet;

use dormouse_kernel::{Aggregate, AggregateId, Context, DomainEvent};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::rejection::EnrolmentRejection;
use super::{CourseId, CourseLesson, LessonId, UserId};

/// The enrolment of a user in a course. The aggregate's id is [`Enrolment::id`].
///
/// It has a copy of the course's lessons as they were when it began, so later changes of the course do not change what a
/// learner must complete. A lesson that was completed while it was locked counts: the learner knew it already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Enrolment {
    /// The status. `None` before the user asks for the enrolment.
    pub status: Option<EnrolmentStatus>,
    /// The course.
    pub course: Option<CourseId>,
    /// The user.
    pub user: Option<UserId>,
    /// The lessons, once the enrolment has begun.
    pub lessons: Vec<CourseLesson>,
    /// The lessons that are completed.
    pub completed: BTreeSet<LessonId>,
    /// The lessons that have been unlocked.
    pub unlocked: BTreeSet<LessonId>,
    /// The code of the course's refusal, if it refused.
    pub refused_because: Option<String>,
}

/// The status of an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolmentStatus {
    /// The course has not answered yet.
    Requested,
    /// The course refused. The user may ask again.
    Refused,
    /// The user takes the course.
    Active,
    /// All lessons are completed.
    Completed,
}

/// The commands of an enrolment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum EnrolmentCommand {
    /// Asks the course for its lessons.
    Enrol {
        /// The course.
        course: CourseId,
        /// The user.
        user: UserId,
    },
    /// Begins the enrolment. Only the course sends it.
    BeginEnrolment {
        /// The lessons of the course.
        lessons: Vec<CourseLesson>,
    },
    /// The course refused. Only a refusal leads to it.
    RefuseEnrolment,
    /// The user has completed a lesson. Only the lesson and the user's progress in it send it.
    CompleteLesson {
        /// The lesson.
        lesson: LessonId,
    },
}

/// The events of an enrolment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EnrolmentEvent {
    /// The user asked for the enrolment.
    EnrolmentRequested {
        /// The course.
        course: CourseId,
        /// The user.
        user: UserId,
    },
    /// The course refused.
    EnrolmentRefused {
        /// The code of the refusal.
        reason: String,
    },
    /// The user takes the course.
    EnrolmentBegan {
        /// The course.
        course: CourseId,
        /// The user.
        user: UserId,
        /// The lessons of the course.
        lessons: Vec<CourseLesson>,
    },
    /// All prerequisites of a lesson are completed.
    LessonUnlocked {
        /// The lesson.
        lesson: LessonId,
    },
    /// The user completed a lesson of the course.
    CourseLessonCompleted {
        /// The lesson.
        lesson: LessonId,
    },
    /// All lessons are completed.
    CourseCompleted {
        /// The course.
        course: CourseId,
        /// The user.
        user: UserId,
    },
}

impl DomainEvent for EnrolmentEvent {}

/// The reply to every command: the enrolment after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnrolmentReply {
    /// The status. `None` before the user asks for the enrolment.
    pub status: Option<EnrolmentStatus>,
    /// How many lessons are completed.
    pub completed: usize,
    /// How many lessons there are.
    pub total: usize,
}

impl Aggregate for Enrolment {
    const TYPE: &'static str = "enrolment";
    const INTERNAL_COMMANDS: &'static [&'static str] = &["BeginEnrolment", "RefuseEnrolment", "CompleteLesson"];
    type Command = EnrolmentCommand;
    type Event = EnrolmentEvent;
    type Reply = EnrolmentReply;
    type Rejection = EnrolmentRejection;

    fn decide(
        &self,
        command: EnrolmentCommand,
        context: &mut Context<Self>,
    ) -> Result<EnrolmentReply, EnrolmentRejection> {
        match command {
            EnrolmentCommand::Enrol { course, user } => self.enrol(course, user, context)?,
            EnrolmentCommand::BeginEnrolment { lessons } => self.begin(lessons, context),
            EnrolmentCommand::RefuseEnrolment => self.refuse(context)?,
            EnrolmentCommand::CompleteLesson { lesson } => self.complete_lesson(lesson, context),
        }
        let enrolment = context.state();
        let (completed, total) = (enrolment.completed.len(), enrolment.lessons.len());
        Ok(EnrolmentReply { status: enrolment.status, completed, total })
    }

    fn evolve(&mut self, event: &EnrolmentEvent) {
        match event {
            EnrolmentEvent::EnrolmentRequested { course, user } => {
                self.status = Some(EnrolmentStatus::Requested);
                (self.course, self.user) = (Some(course.clone()), Some(user.clone()));
                self.refused_because = None;
            }
            EnrolmentEvent::EnrolmentRefused { reason } => {
                self.status = Some(EnrolmentStatus::Refused);
                self.refused_because = Some(reason.clone());
            }
            EnrolmentEvent::EnrolmentBegan { lessons, .. } => {
                self.status = Some(EnrolmentStatus::Active);
                self.lessons.clone_from(lessons);
            }
            EnrolmentEvent::LessonUnlocked { lesson } => _ = self.unlocked.insert(lesson.clone()),
            EnrolmentEvent::CourseLessonCompleted { lesson } => _ = self.completed.insert(lesson.clone()),
            EnrolmentEvent::CourseCompleted { .. } => self.status = Some(EnrolmentStatus::Completed),
        }
    }

    fn owner<'a>(&'a self, _: &'a AggregateId) -> Option<&'a str> {
        self.user.as_ref().map(UserId::as_str)
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl Enrolment {
    /// The id of the aggregate: the course and the user, with a colon between them.
    #[must_use]
    pub fn id(course: &CourseId, user: &UserId) -> String {
        format!("{course}:{user}")
    }

    /// Unlocks the lessons whose prerequisites are all completed, as far as the events so far have not done it.
    fn unlock(context: &mut Context<Self>) {
        let Self { lessons, completed, unlocked, .. } = context.state();
        let is_next = |lesson: &&CourseLesson| {
            let is_known = unlocked.contains(&lesson.id) || completed.contains(&lesson.id);
            !is_known && lesson.prerequisites.iter().all(|required| completed.contains(required))
        };
        let next: Vec<_> = lessons.iter().filter(is_next).map(|lesson| lesson.id.clone()).collect();
        next.into_iter().for_each(|lesson| context.emit(EnrolmentEvent::LessonUnlocked { lesson }));
    }
}

//! Why a course refuses a command.

use dormouse_kernel::Rejection;

use crate::InvalidValue;
use crate::academy::{LessonId, limits};

/// Why a course refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CourseRejection {
    /// The id of the aggregate cannot be the id of a course.
    #[error("the id of the course is not valid: {0}")]
    InvalidCourseId(InvalidValue),
    /// The course exists already.
    #[error("the course has been created already")]
    AlreadyCreated,
    /// The course does not exist.
    #[error("the course has not been created")]
    NotCreated,
    /// The course has too many lessons.
    #[error("a course has at most {max} lessons, this would make {lessons}", max = limits::LESSONS)]
    TooManyLessons {
        /// How many lessons it would have.
        lessons: usize,
    },
    /// The course has a lesson twice.
    #[error("the course has lesson {lesson} twice")]
    DuplicateLesson {
        /// The lesson.
        lesson: LessonId,
    },
    /// A lesson requires too many others.
    #[error("a lesson has at most {max} prerequisites, {lesson} has more", max = limits::PREREQUISITES)]
    TooManyPrerequisites {
        /// The lesson.
        lesson: LessonId,
    },
    /// A lesson requires one that the course does not have.
    #[error("lesson {lesson} requires {prerequisite}, which the course does not have")]
    UnknownPrerequisite {
        /// The lesson.
        lesson: LessonId,
        /// What it requires.
        prerequisite: LessonId,
    },
    /// A lesson requires another one twice.
    #[error("lesson {lesson} requires {prerequisite} twice")]
    DuplicatePrerequisite {
        /// The lesson.
        lesson: LessonId,
        /// What it requires.
        prerequisite: LessonId,
    },
    /// Lessons require each other.
    #[error("lesson {lesson} can never be unlocked: it requires itself, directly or by other lessons")]
    Cycle {
        /// One of the lessons that can never be unlocked.
        lesson: LessonId,
    },
    /// Nobody can enrol while lessons have not answered.
    #[error("{pending} lessons are still being assigned to the course, try again soon")]
    LessonsPending {
        /// How many.
        pending: usize,
    },
    /// Nobody can enrol in a course without lessons.
    #[error("the course has no lessons")]
    NoLessons,
    /// A client sent the command, and not the runtime.
    #[error("only a refused message leads to this command")]
    NotARefusal,
}

impl Rejection for CourseRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidCourseId(_) => "invalid-course-id",
            Self::AlreadyCreated => "course-already-created",
            Self::NotCreated => "no-such-course",
            Self::TooManyLessons { .. } => "too-many-lessons",
            Self::DuplicateLesson { .. } => "duplicate-lesson",
            Self::TooManyPrerequisites { .. } => "too-many-prerequisites",
            Self::UnknownPrerequisite { .. } => "unknown-prerequisite",
            Self::DuplicatePrerequisite { .. } => "duplicate-prerequisite",
            Self::Cycle { .. } => "prerequisite-cycle",
            Self::LessonsPending { .. } => "lessons-pending",
            Self::NoLessons => "course-without-lessons",
            Self::NotARefusal => "not-a-refusal",
        }
    }
}

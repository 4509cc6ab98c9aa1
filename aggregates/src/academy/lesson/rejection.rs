//! Why a lesson refuses a command.

use dormouse_kernel::Rejection;

use crate::InvalidValue;
use crate::academy::CourseId;

/// Why a lesson refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LessonRejection {
    /// The id of the aggregate cannot be the id of a lesson.
    #[error("the id of the lesson is not valid: {0}")]
    InvalidLessonId(InvalidValue),
    /// The lesson belongs to another course.
    #[error("the lesson belongs to course {course} already")]
    BelongsToOther {
        /// That course.
        course: CourseId,
    },
}

impl Rejection for LessonRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidLessonId(_) => "invalid-lesson-id",
            Self::BelongsToOther { .. } => "lesson-belongs-to-other-course",
        }
    }
}

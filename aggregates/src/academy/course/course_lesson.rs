//! One lesson of a course.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::academy::LessonId;

/// One lesson of a course, with the lessons that it requires.
///
/// It is stored in events, so it accepts unknown fields: an older version of the application may read newer events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CourseLesson {
    /// The lesson.
    pub id: LessonId,
    /// The lessons of the same course that unlock it when all of them are completed.
    pub prerequisites: Vec<LessonId>,
}

/// A lesson in a command. An unknown field is a typing error and is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLesson {
    /// The lesson.
    pub id: LessonId,
    /// The lessons of the same course that unlock it when all of them are completed: at most 10.
    #[serde(default)]
    #[schemars(length(max = 10))]
    pub prerequisites: Vec<LessonId>,
}

impl From<NewLesson> for CourseLesson {
    fn from(NewLesson { id, prerequisites }: NewLesson) -> Self {
        Self { id, prerequisites }
    }
}

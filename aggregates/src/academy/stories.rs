//! Values for the tests of the academy.

use dormouse_kernel::Timestamp;

use super::{AssessmentId, AttemptId, ChoiceId, CourseId, LessonId, Name, QuestionId, Score, TimeZoneName, UserId};

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

pub(super) fn lesson(id: &str) -> LessonId {
    LessonId::new(id).unwrap()
}

pub(super) fn course(id: &str) -> CourseId {
    CourseId::new(id).unwrap()
}

pub(super) fn assessment(id: &str) -> AssessmentId {
    AssessmentId::new(id).unwrap()
}

pub(super) fn attempt(id: &str) -> AttemptId {
    AttemptId::new(id).unwrap()
}

pub(super) fn question(id: &str) -> QuestionId {
    QuestionId::new(id).unwrap()
}

pub(super) fn choice(id: &str) -> ChoiceId {
    ChoiceId::new(id).unwrap()
}

pub(super) fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

pub(super) fn zone(name: &str) -> TimeZoneName {
    TimeZoneName::new(name).unwrap()
}

pub(super) fn score(score: f64) -> Score {
    Score::new(score).unwrap()
}

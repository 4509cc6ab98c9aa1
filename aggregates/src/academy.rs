//! A learning academy: users with streaks, lessons with progress, courses that unlock their lessons, and assessments.
//!
//! A learner records progress in a lesson ([`LessonProgress`]). The progress is a day of learning of the [`User`], and a
//! completed lesson unlocks the next ones of a course ([`Enrolment`]); [`reactions`] has both rules. A [`Course`] names
//! its lessons and what must be completed before each of them. A [`Lesson`] belongs to one course, and an [`Enrolment`]
//! is one learner's way through a course. An [`Assessment`] has questions and the right answers to them. An
//! [`AssessmentAttempt`] has a learner's answers, and never the right ones.
//!
//! The aggregates talk by messages only. A command that only an aggregate sends says so; applications let no client
//! send it.

mod assessment;
mod assessment_attempt;
mod calendar;
mod course;
mod enrolment;
mod ids;
mod lesson;
mod lesson_progress;
pub mod limits;
mod name;
pub mod reactions;
mod score;
#[cfg(test)]
mod stories;
mod time_zone;
mod user;

pub use assessment::{
    Assessment, AssessmentCommand, AssessmentEvent, AssessmentRejection, AssessmentRules, AttemptsAllowed, NewQuestion,
    Question, TimeLimit, Weight,
};
pub use assessment_attempt::{
    AssessmentAttempt, AssessmentAttemptCommand, AssessmentAttemptEvent, AssessmentAttemptRejection, AttemptReply,
    AttemptStatus,
};
pub use course::{Course, CourseCommand, CourseEvent, CourseLesson, CourseRejection, CourseReply, NewLesson};
pub use enrolment::{Enrolment, EnrolmentCommand, EnrolmentEvent, EnrolmentRejection, EnrolmentReply, EnrolmentStatus};
pub use ids::{AssessmentId, AttemptId, ChoiceId, CourseId, LessonId, QuestionId, UserId};
pub use lesson::{Lesson, LessonCommand, LessonEvent, LessonRejection, LessonReply};
pub use lesson_progress::{
    LessonProgress, LessonProgressCommand, LessonProgressEvent, LessonProgressRejection, ProgressReply,
};
pub use name::Name;
pub use score::{InvalidScore, Score};
pub use time_zone::TimeZoneName;
pub use user::{DayRun, User, UserCommand, UserEvent, UserRejection, UserReply};

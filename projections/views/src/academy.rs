//! The views of the academy: what each user has learned, how far each enrolment is, and the streaks.
//!
//! [`UserProgressSummaries`] adds up over all lessons of a user, [`CourseProgress`] has one document for each enrolment,
//! and [`StreakBoard`] one for each user who has registered or learned. No view reads assessments: their events have
//! the right answers.

mod course_progress;
#[cfg(test)]
mod stories;
mod streak_board;
mod user_progress_summary;

pub use course_progress::{CourseProgress, EnrolmentProgress};
pub use streak_board::{StreakBoard, UserStreak};
pub use user_progress_summary::{UserProgressSummaries, UserProgressSummary};

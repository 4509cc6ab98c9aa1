//! Why a lesson's progress refuses a command.

use dormouse_kernel::Rejection;

use crate::academy::{InvalidScore, limits};

/// Why a lesson's progress refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LessonProgressRejection {
    /// The aggregate is the progress of another user, or in another lesson.
    #[error("the progress of this user in this lesson is {id:?}")]
    WrongId {
        /// The right id.
        id: String,
    },
    /// The score is not valid.
    #[error("the score is not valid: {0}")]
    Score(InvalidScore),
    /// The pass score is not valid.
    #[error("the pass score is not valid: {0}")]
    PassScore(InvalidScore),
    /// The time spent is too long for one report.
    #[error("one report has at most {max} seconds, got {seconds}", max = limits::TIME_SPENT_SECONDS)]
    TimeSpentTooLong {
        /// The seconds of the report.
        seconds: u64,
    },
}

impl Rejection for LessonProgressRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::WrongId { .. } => "wrong-progress-id",
            Self::Score(InvalidScore::NotFinite) => "score-not-finite",
            Self::Score(InvalidScore::OutOfRange) => "score-out-of-range",
            Self::PassScore(InvalidScore::NotFinite) => "pass-score-not-finite",
            Self::PassScore(InvalidScore::OutOfRange) => "pass-score-out-of-range",
            Self::TimeSpentTooLong { .. } => "time-spent-too-long",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_states_its_reason() {
        let told = |rejection: LessonProgressRejection| rejection.to_string();
        let score = LessonProgressRejection::Score(InvalidScore::OutOfRange);
        assert_eq!(told(score), "the score is not valid: a score must be between 0 and 1");
        let long = LessonProgressRejection::TimeSpentTooLong { seconds: 180_000 };
        assert_eq!(told(long), "one report has at most 86400 seconds, got 180000");
    }
}

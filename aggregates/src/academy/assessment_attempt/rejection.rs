//! Why an attempt refuses a command.

use dormouse_kernel::Rejection;

use crate::InvalidValue;
use crate::academy::{AttemptStatus, ChoiceId, QuestionId};

/// Why an attempt refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssessmentAttemptRejection {
    /// The id of the aggregate cannot be the id of an attempt.
    #[error("the id of the attempt is not valid: {0}")]
    InvalidAttemptId(InvalidValue),
    /// The attempt exists already.
    #[error("the attempt has been started already")]
    AlreadyStarted,
    /// The attempt does not exist.
    #[error("the attempt has not been started")]
    NotStarted,
    /// The command needs an attempt that runs.
    #[error("the attempt is {status}, not running")]
    NotRunning {
        /// The status of the attempt.
        status: AttemptStatus,
    },
    /// The time is up.
    #[error("the time for the attempt is up")]
    TimeIsUp,
    /// The assessment does not have the question.
    #[error("the assessment has no question {question}")]
    NoSuchQuestion {
        /// The question.
        question: QuestionId,
    },
    /// The question does not have the choice.
    #[error("question {question} has no choice {choice}")]
    NoSuchChoice {
        /// The question.
        question: QuestionId,
        /// The choice.
        choice: ChoiceId,
    },
    /// A client sent the command, and not the runtime.
    #[error("only a refused message leads to this command")]
    NotARefusal,
}

impl Rejection for AssessmentAttemptRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidAttemptId(_) => "invalid-attempt-id",
            Self::AlreadyStarted => "attempt-already-started",
            Self::NotStarted => "attempt-not-started",
            Self::NotRunning { .. } => "attempt-not-running",
            Self::TimeIsUp => "time-is-up",
            Self::NoSuchQuestion { .. } => "no-such-question",
            Self::NoSuchChoice { .. } => "no-such-choice",
            Self::NotARefusal => "not-a-refusal",
        }
    }
}

impl std::fmt::Display for AttemptStatus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Requested => "requested",
            Self::Refused => "refused",
            Self::Running => "running",
            Self::Closed => "closed",
            Self::Passed => "passed",
            Self::Failed => "failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_states_its_reason() {
        let told = |rejection: AssessmentAttemptRejection| rejection.to_string();
        let closed = AssessmentAttemptRejection::NotRunning { status: AttemptStatus::Closed };
        assert_eq!(told(closed), "the attempt is closed, not running");
    }
}

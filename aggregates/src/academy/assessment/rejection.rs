//! Why an assessment refuses a command.

use dormouse_kernel::Rejection;

use crate::InvalidValue;
use crate::academy::{AttemptsAllowed, QuestionId, limits};

/// Why an assessment refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssessmentRejection {
    /// The id of the aggregate cannot be the id of an assessment.
    #[error("the id of the assessment is not valid: {0}")]
    InvalidAssessmentId(InvalidValue),
    /// The assessment exists already.
    #[error("the assessment has been created already")]
    AlreadyCreated,
    /// The assessment does not exist.
    #[error("the assessment has not been created")]
    NotCreated,
    /// The assessment has no questions.
    #[error("an assessment needs at least one question")]
    NoQuestions,
    /// The assessment has too many questions.
    #[error("an assessment has at most {max} questions, got {questions}", max = limits::QUESTIONS)]
    TooManyQuestions {
        /// How many questions it would have.
        questions: usize,
    },
    /// The assessment has a question twice.
    #[error("the assessment has question {question} twice")]
    DuplicateQuestion {
        /// The question.
        question: QuestionId,
    },
    /// A question has too few choices.
    #[error("a question has at least {min} choices, {question} has fewer", min = limits::MIN_CHOICES)]
    TooFewChoices {
        /// The question.
        question: QuestionId,
    },
    /// A question has too many choices.
    #[error("a question has at most {max} choices, {question} has more", max = limits::MAX_CHOICES)]
    TooManyChoices {
        /// The question.
        question: QuestionId,
    },
    /// A question has a choice twice.
    #[error("question {question} has a choice twice")]
    DuplicateChoice {
        /// The question.
        question: QuestionId,
    },
    /// The right answer to a question is none of its choices.
    #[error("the right answer to question {question} is none of its choices")]
    RightAnswerNotAChoice {
        /// The question.
        question: QuestionId,
    },
    /// The user has begun all attempts that are allowed.
    #[error("the user has had all {allowed} attempts")]
    NoAttemptsLeft {
        /// How many attempts a learner has.
        allowed: AttemptsAllowed,
    },
    /// There would be more learners than the limit.
    #[error("at most {max} learners can take one assessment", max = limits::LEARNERS)]
    TooManyLearners,
}

impl Rejection for AssessmentRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidAssessmentId(_) => "invalid-assessment-id",
            Self::AlreadyCreated => "assessment-already-created",
            Self::NotCreated => "no-such-assessment",
            Self::NoQuestions => "assessment-without-questions",
            Self::TooManyQuestions { .. } => "too-many-questions",
            Self::DuplicateQuestion { .. } => "duplicate-question",
            Self::TooFewChoices { .. } => "too-few-choices",
            Self::TooManyChoices { .. } => "too-many-choices",
            Self::DuplicateChoice { .. } => "duplicate-choice",
            Self::RightAnswerNotAChoice { .. } => "right-answer-not-a-choice",
            Self::NoAttemptsLeft { .. } => "no-attempts-left",
            Self::TooManyLearners => "too-many-learners",
        }
    }
}

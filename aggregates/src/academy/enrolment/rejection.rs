//! Why an enrolment refuses a command.

use dormouse_kernel::Rejection;

/// Why an enrolment refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentRejection {
    /// The aggregate is the enrolment of another user, or in another course.
    #[error("the enrolment of this user in this course is {id:?}")]
    WrongId {
        /// The right id.
        id: String,
    },
    /// The user has enrolled already.
    #[error("the user has enrolled in the course already")]
    AlreadyEnrolled,
    /// A client sent the command, and not the runtime.
    #[error("only a refused message leads to this command")]
    NotARefusal,
}

impl Rejection for EnrolmentRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::WrongId { .. } => "wrong-enrolment-id",
            Self::AlreadyEnrolled => "already-enrolled",
            Self::NotARefusal => "not-a-refusal",
        }
    }
}

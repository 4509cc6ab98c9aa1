//! Why a projection cannot go on for now, and what to do about it.

use dormouse_journal::ReadError;

use crate::documents::InvalidDocument;
use crate::store::{CommitError, Error};

/// Why a projection cannot go on. Whatever it had in hand is not to be believed any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProjectionError {
    /// It passes: somebody does not answer.
    #[error("{0}")]
    Transient(String),
    /// It may come again and again.
    #[error("{0}")]
    Permanent(String),
    /// The documents of a batch have more bytes than may be loaded at once; nothing has happened yet. A smaller batch goes on.
    #[error("the documents of a batch have too many bytes")]
    TooLarge,
    /// The build is not there any more: another one has taken its place, or somebody dropped it.
    #[error("its build is gone")]
    BuildGone,
}

impl From<Error> for ProjectionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) | Error::Full(_) => Self::Transient(error.to_string()),
            Error::Damaged(_) => Self::Permanent(error.to_string()),
        }
    }
}

impl From<CommitError> for ProjectionError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Failed(error) => error.into(),
            CommitError::Moved { found: None, .. } => Self::BuildGone,
            CommitError::Moved { .. } => Self::Permanent(error.to_string()),
        }
    }
}

impl From<ReadError> for ProjectionError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => Self::Transient(error.to_string()),
            ReadError::Damaged { .. } => Self::Permanent(error.to_string()),
        }
    }
}

impl From<InvalidDocument> for ProjectionError {
    fn from(invalid: InvalidDocument) -> Self {
        Self::Permanent(invalid.to_string())
    }
}

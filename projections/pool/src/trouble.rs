//! Why a projection cannot go on for now, and what to do about it.

use dormouse_journal::ReadError;

use crate::documents::Unfit;
use crate::store::{CommitError, Error};

/// Why a projection cannot go on. Whatever it had in hand is not to be believed any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// It passes: somebody does not answer.
    #[error("{0}")]
    Passing(String),
    /// It may come again and again.
    #[error("{0}")]
    Lasting(String),
    /// The documents of a batch have more bytes than may be loaded at once; nothing has happened yet. A smaller batch goes on.
    #[error("the documents of a batch have too many bytes")]
    TooLarge,
    /// The build is not there any more: another one has taken its place, or somebody dropped it.
    #[error("its build is gone")]
    Gone,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) | Error::Full(_) => Self::Passing(error.to_string()),
            Error::Damaged(_) => Self::Lasting(error.to_string()),
        }
    }
}

impl From<CommitError> for Trouble {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Failed(error) => error.into(),
            CommitError::Moved { found: None, .. } => Self::Gone,
            CommitError::Moved { .. } => Self::Lasting(error.to_string()),
        }
    }
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => Self::Passing(error.to_string()),
            ReadError::Damaged { .. } => Self::Lasting(error.to_string()),
        }
    }
}

impl From<Unfit> for Trouble {
    fn from(unfit: Unfit) -> Self {
        Self::Lasting(unfit.to_string())
    }
}

//! Why a projection cannot continue. `retry_rules.rs` says what happens then.

use dormouse_journal::ReadError;

use crate::documents::InvalidDocument;
use crate::sealing::SealingError;
use crate::store::{CommitError, Error};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a projection cannot continue. After any error except [`TooLarge`](Self::TooLarge) and
/// [`Forgotten`](Self::Forgotten), the worker must not use what it has in memory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectionError {
    /// The store or the journal does not answer; a later attempt may succeed.
    #[error(transparent)]
    Transient(Cause),
    /// The error may occur again at each attempt.
    #[error(transparent)]
    Permanent(Cause),
    /// The documents of a batch have more bytes than may be loaded at once. Nothing has changed, and a smaller batch
    /// may succeed.
    #[error("the documents of a batch are larger than `load_bytes`")]
    TooLarge,
    /// A subject was forgotten since the events and the documents of a batch were read. Nothing has changed, and the
    /// batch must be read again.
    #[error("something was forgotten meanwhile")]
    Forgotten,
    /// The build does not exist any more: another build has replaced it, or it was dropped.
    #[error("the build does not exist any more")]
    BuildGone,
}

impl From<Error> for ProjectionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) | Error::Full(_) => Self::Transient(error.into()),
            Error::Damaged(_) => Self::Permanent(error.into()),
        }
    }
}

impl From<CommitError> for ProjectionError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Failed(error) => error.into(),
            CommitError::Moved { found: None, .. } => Self::BuildGone,
            CommitError::Moved { .. } => Self::Permanent(error.into()),
        }
    }
}

impl From<ReadError> for ProjectionError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => Self::Transient(error.into()),
            ReadError::Damaged { .. } => Self::Permanent(error.into()),
        }
    }
}

impl From<SealingError> for ProjectionError {
    fn from(error: SealingError) -> Self {
        if error.is_transient() { Self::Transient(error.into()) } else { Self::Permanent(error.into()) }
    }
}

impl From<InvalidDocument> for ProjectionError {
    fn from(invalid: InvalidDocument) -> Self {
        Self::Permanent(invalid.into())
    }
}

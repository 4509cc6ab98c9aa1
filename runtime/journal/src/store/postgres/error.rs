//! What a failed statement means for the journal.

use dormouse_config::PostgresUrl;
use dormouse_storage::postgres::Failure;

use crate::error::{CommitError, OpenError, StoreError};

/// The error of opening the journal at `url`.
pub(super) fn unreachable(failure: Failure, url: &PostgresUrl) -> OpenError {
    OpenError::Unreachable { place: url.to_string(), reason: failure.into_reason() }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        dormouse_storage::Error::from(failure).into()
    }
}

impl From<Failure> for CommitError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(reason) | Failure::Busy(reason) | Failure::Unusable(reason) => Self::Refused(reason),
            Failure::Full(reason) => Self::Full(reason),
            Failure::Lost(reason) | Failure::Damaged(reason) => Self::Unknown(reason),
        }
    }
}

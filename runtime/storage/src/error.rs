//! Why stored rows could not be read or written.

use crate::number::OutOfRange;

/// Why a database could not do what it was asked for.
///
/// The reasons are texts, so that an error can be cloned for each reader that shares a load, and compared in tests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The database does not answer, or not now. A retry may succeed.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// There is no room. A retry succeeds once there is some.
    #[error("the database has no room: {0}")]
    Full(String),
    /// What is stored is not what was written.
    #[error("the database is damaged: {0}")]
    Damaged(String),
}

impl From<OutOfRange> for Error {
    fn from(error: OutOfRange) -> Self {
        Self::Damaged(error.to_string())
    }
}

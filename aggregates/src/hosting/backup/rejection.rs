//! Why a backup refuses a command.

use dormouse_kernel::Rejection;

/// Why a backup refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupRejection {
    /// The backup exists already.
    #[error("the backup has been created already")]
    AlreadyCreated,
    /// The backup does not exist.
    #[error("the backup does not exist")]
    NotCreated,
    /// The site has not told what there is to copy, so no job can have a result.
    #[error("the backup has not been started")]
    NotStarted,
}

impl Rejection for BackupRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyCreated => "backup-already-created",
            Self::NotCreated => "no-such-backup",
            Self::NotStarted => "backup-not-started",
        }
    }
}

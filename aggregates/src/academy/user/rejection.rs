//! Why a user refuses a command.

use dormouse_kernel::Rejection;

use crate::InvalidValue;
use crate::academy::TimeZoneName;
use crate::academy::calendar::Calendar;

/// Why a user refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserRejection {
    /// The id of the aggregate cannot be the id of a user.
    #[error("the id of the user is not valid: {0}")]
    InvalidUserId(InvalidValue),
    /// The user has registered already.
    #[error("the user has registered already")]
    AlreadyRegistered,
    /// The user has not registered.
    #[error("the user has not registered")]
    NotRegistered,
    /// There is no such time zone.
    #[error("{name} is not a time zone: use a name such as Europe/Berlin")]
    UnknownTimeZone {
        /// The name.
        name: TimeZoneName,
    },
}

impl UserRejection {
    /// The calendar of a time zone.
    pub(super) fn unless_known(name: &TimeZoneName) -> Result<Calendar, Self> {
        match name.rules() {
            Some(_) => Ok(Calendar::of(name)),
            None => Err(Self::UnknownTimeZone { name: name.clone() }),
        }
    }
}

impl Rejection for UserRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidUserId(_) => "invalid-user-id",
            Self::AlreadyRegistered => "user-already-registered",
            Self::NotRegistered => "user-not-registered",
            Self::UnknownTimeZone { .. } => "unknown-time-zone",
        }
    }
}

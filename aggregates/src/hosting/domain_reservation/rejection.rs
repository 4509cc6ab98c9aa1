//! Why a reservation refuses a command.

use dormouse_kernel::Rejection;

use crate::InvalidValue;

/// Why a reservation refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainReservationRejection {
    /// The id of the reservation is not a domain.
    #[error("the id of a domain reservation is a domain: {0}")]
    InvalidDomain(InvalidValue),
    /// Another site holds the domain. Which one is nobody else's business.
    #[error("the domain is taken")]
    Taken,
}

impl Rejection for DomainReservationRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidDomain(_) => "invalid-domain",
            Self::Taken => "domain-taken",
        }
    }
}

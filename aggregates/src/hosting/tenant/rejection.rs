//! Why a tenant refuses a command.

use dormouse_kernel::Rejection;

/// Why a tenant refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantRejection {
    /// The tenant exists already.
    #[error("the tenant has been created already")]
    AlreadyCreated,
    /// The tenant does not exist.
    #[error("the tenant does not exist")]
    NotCreated,
}

impl Rejection for TenantRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyCreated => "tenant-already-created",
            Self::NotCreated => "no-such-tenant",
        }
    }
}

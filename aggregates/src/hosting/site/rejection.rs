//! Why a site refuses a command.

use dormouse_kernel::Rejection;

use crate::hosting::{Domain, SiteStatus};

/// Why a site refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiteRejection {
    /// The site exists already, or existed and was deleted.
    #[error("the site has been created already")]
    AlreadyCreated,
    /// The site does not exist.
    #[error("the site does not exist")]
    NotCreated,
    /// The site was deleted. A job that gets this undoes what it made.
    #[error("the site has been deleted")]
    Deleted,
    /// The site has another domain.
    #[error("the domain of the site is {domain}")]
    OtherDomain {
        /// The domain of the site.
        domain: Domain,
    },
    /// The domain is not reserved for the site, so it cannot be provisioned.
    #[error("the domain is not reserved for the site")]
    DomainNotReserved,
    /// The command needs a provisioned site.
    #[error("the site is {status}, not provisioned")]
    NotProvisioned {
        /// The status of the site.
        status: SiteStatus,
    },
}

impl Rejection for SiteRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyCreated => "site-already-created",
            Self::NotCreated => "no-such-site",
            Self::Deleted => "site-deleted",
            Self::OtherDomain { .. } => "other-domain",
            Self::DomainNotReserved => "domain-not-reserved",
            Self::NotProvisioned { .. } => "site-not-provisioned",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_states_its_reason() {
        let rejection = SiteRejection::NotProvisioned { status: SiteStatus::Failed };
        assert_eq!(rejection.to_string(), "the site is failed, not provisioned");
        let rejection = SiteRejection::OtherDomain { domain: Domain::new("example.org").unwrap() };
        assert_eq!(rejection.to_string(), "the domain of the site is example.org");
    }
}

//! Sites of tenants, their domains, and their backups.
//!
//! A [`Tenant`] owns sites. A [`Site`] is created, gets its domain, is provisioned, and is deleted. A [`Backup`] is a
//! copy of a site. A [`DomainReservation`] gives a domain to at most one site at a time. The aggregates know only each
//! other's ids, and talk by messages:
//!
//! ```text
//! site    ── Reserve, Release ──────────────────► domain-reservation
//!         ◄─ RecordDomainReserved (or refused) ──
//! backup  ── DescribeToBackup ──────────────────► site
//!         ◄─ RecordSite (or refused) ────────────
//! ```
//!
//! What happens outside is the work of jobs. They begin on [`SiteEvent::SiteDomainReserved`] and
//! [`BackupEvent::BackupStarted`], and send their results back as commands (`RecordProvisioned`, `RecordCompleted`, …).
//! A timer ends what has no result in time.
//!
//! Nobody checks that the tenant of a site exists: the tenant is the caller of the HTTP API, and one that is gone is no
//! error.

mod backup;
mod byte_size;
mod domain;
mod domain_reservation;
mod id;
pub mod limits;
mod milliseconds;
mod new_domain;
mod site;
mod site_type;
mod tenant;

pub use backup::{Backup, BackupCommand, BackupEvent, BackupRejection, BackupReply, BackupStatus, BackupSummary};
pub use byte_size::ByteSize;
pub use domain::Domain;
pub use domain_reservation::{
    DomainHolder, DomainReservation, DomainReservationCommand, DomainReservationEvent, DomainReservationRejection,
};
pub use id::{BackupId, SiteId, TenantId};
pub use milliseconds::Milliseconds;
pub use new_domain::NewDomain;
pub use site::{Site, SiteCommand, SiteEvent, SiteRejection, SiteReply, SiteStatus, SiteSummary};
pub use site_type::SiteType;
pub use tenant::{Tenant, TenantCommand, TenantEvent, TenantRejection, TenantReply};

pub use crate::{Email, Text};

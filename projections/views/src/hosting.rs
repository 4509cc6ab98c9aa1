//! The views of hosting: sites, tenants with their totals, backups, and the audit log.
//!
//! [`Sites`] and [`Backups`] have one document for each aggregate. [`Tenants`] adds up over many sites and backups. It
//! sees single events and not the aggregates, so it uses what an event says about its site or backup
//! ([`SiteSummary`](dormouse_aggregates::hosting::SiteSummary),
//! [`BackupSummary`](dormouse_aggregates::hosting::BackupSummary)). [`HostingAudit`] has one document for each event.

mod audit;
mod backups;
mod sites;
#[cfg(test)]
mod stories;
mod tenants;

pub use audit::{AuditEntry, HostingAudit};
pub use backups::{Backups, SiteBackup};
pub use sites::{HostedSite, Sites};
pub use tenants::{TenantTotal, Tenants};

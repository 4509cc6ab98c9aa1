//! Events and values for the tests of the views: Ada's site and its backup.

use dormouse_aggregates::hosting::{
    BackupEvent, BackupStatus, BackupSummary, ByteSize, Domain, Email, Milliseconds, SiteEvent, SiteId, SiteStatus,
    SiteSummary, SiteType, TenantEvent, TenantId, Text,
};
use dormouse_kernel::Timestamp;

/// A time, in seconds after the first one.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

pub(super) fn tenant_created() -> TenantEvent {
    TenantEvent::TenantCreated { name: text("Ada's Teas"), contact: Email::new("ada@example.org").unwrap().into() }
}

pub(super) fn site_counted() -> TenantEvent {
    TenantEvent::SiteCounted { site: site() }
}

pub(super) fn site_created(owner: &str) -> SiteEvent {
    SiteEvent::SiteCreated { domain: domain(), site_type: SiteType::Wordpress, tenant: tenant(owner) }
}

pub(super) fn reserved(owner: &str) -> SiteEvent {
    SiteEvent::SiteDomainReserved { was: site_was(owner, SiteStatus::Created) }
}

pub(super) fn provisioned(owner: &str, status: SiteStatus) -> SiteEvent {
    SiteEvent::SiteProvisioned { duration_ms: milliseconds(1_200), was: site_was(owner, status) }
}

pub(super) fn provisioning_failed(owner: &str) -> SiteEvent {
    let was = site_was(owner, SiteStatus::Provisioning);
    SiteEvent::SiteProvisioningFailed { reason: text("the disk is full"), was }
}

pub(super) fn deleted(owner: &str, status: SiteStatus) -> SiteEvent {
    SiteEvent::SiteDeleted { was: site_was(owner, status) }
}

pub(super) fn backup_created() -> BackupEvent {
    BackupEvent::BackupCreated { site: site() }
}

pub(super) fn backup_started(owner: &str) -> BackupEvent {
    let (site, tenant, domain) = (site(), tenant(owner), domain());
    BackupEvent::BackupStarted { site, tenant, domain, site_type: SiteType::Wordpress }
}

pub(super) fn backup_completed(owner: &str, bytes: i64, status: BackupStatus) -> BackupEvent {
    let was = backup_was(Some(owner), status);
    BackupEvent::BackupCompleted { size_bytes: size(bytes), duration_ms: milliseconds(300), was }
}

/// The backup of a site that told its owner, or of a site that refused.
pub(super) fn backup_failed(owner: Option<&str>) -> BackupEvent {
    let status = if owner.is_some() { BackupStatus::Running } else { BackupStatus::Created };
    BackupEvent::BackupFailed { reason: text("the disk is full"), was: backup_was(owner, status) }
}

pub(super) fn site() -> SiteId {
    SiteId::new("s-1").unwrap()
}

pub(super) fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

pub(super) fn domain() -> Domain {
    Domain::new("example.org").unwrap()
}

pub(super) fn milliseconds(number: i64) -> Milliseconds {
    Milliseconds::new(number).unwrap()
}

pub(super) fn size(bytes: i64) -> ByteSize {
    ByteSize::new(bytes).unwrap()
}

pub(super) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn site_was(owner: &str, status: SiteStatus) -> SiteSummary {
    SiteSummary { tenant: tenant(owner), domain: domain(), site_type: SiteType::Wordpress, status }
}

fn backup_was(owner: Option<&str>, status: BackupStatus) -> BackupSummary {
    let (tenant, domain) = (owner.map(tenant), owner.map(|_| domain()));
    BackupSummary { site: site(), tenant, domain, site_type: owner.map(|_| SiteType::Wordpress), status }
}

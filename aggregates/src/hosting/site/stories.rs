//! Commands, events and values for the tests of the commands: Ada's site.

use super::{SiteCommand, SiteEvent, SiteStatus, SiteSummary};
use crate::hosting::{Domain, Milliseconds, NewDomain, SiteType, TenantId, Text};

pub(super) fn create() -> SiteCommand {
    let domain = NewDomain::new("Example.ORG").unwrap();
    SiteCommand::CreateSite { domain, site_type: SiteType::Wordpress, tenant: tenant() }
}

pub(super) fn record_provisioned() -> SiteCommand {
    SiteCommand::RecordProvisioned { duration_ms: duration() }
}

pub(super) fn record_failed() -> SiteCommand {
    SiteCommand::RecordProvisioningFailed { reason: text("the disk is full") }
}

pub(super) fn created() -> Vec<SiteEvent> {
    vec![SiteEvent::SiteCreated { domain: domain(), site_type: SiteType::Wordpress, tenant: tenant() }]
}

/// The domain is taken.
pub(super) fn refused() -> Vec<SiteEvent> {
    [created(), vec![failed("the domain is taken", SiteStatus::Created)]].concat()
}

pub(super) fn provisioning() -> Vec<SiteEvent> {
    [created(), vec![SiteEvent::SiteDomainReserved { was: was(SiteStatus::Created) }]].concat()
}

pub(super) fn provisioned() -> Vec<SiteEvent> {
    [provisioning(), vec![done(SiteStatus::Provisioning)]].concat()
}

/// The provisioning failed.
pub(super) fn broken() -> Vec<SiteEvent> {
    [provisioning(), vec![failed("the disk is full", SiteStatus::Provisioning)]].concat()
}

pub(super) fn deleted() -> Vec<SiteEvent> {
    [provisioned(), vec![SiteEvent::SiteDeleted { was: was(SiteStatus::Provisioned) }]].concat()
}

pub(super) fn done(status: SiteStatus) -> SiteEvent {
    SiteEvent::SiteProvisioned { duration_ms: duration(), was: was(status) }
}

pub(super) fn failed(reason: &str, status: SiteStatus) -> SiteEvent {
    SiteEvent::SiteProvisioningFailed { reason: text(reason), was: was(status) }
}

/// Ada's site when it had this status.
pub(super) fn was(status: SiteStatus) -> SiteSummary {
    SiteSummary { tenant: tenant(), domain: domain(), site_type: SiteType::Wordpress, status }
}

pub(super) fn domain() -> Domain {
    Domain::new("example.org").unwrap()
}

pub(super) fn tenant() -> TenantId {
    TenantId::new("ada").unwrap()
}

fn duration() -> Milliseconds {
    Milliseconds::new(1_200).unwrap()
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

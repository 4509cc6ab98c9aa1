//! Commands, events and values for the tests of the commands: a backup of Ada's site.

use super::{BackupCommand, BackupEvent, BackupStatus, BackupSummary};
use crate::hosting::{ByteSize, Domain, Milliseconds, SiteId, SiteType, TenantId, Text};

pub(super) fn record_site() -> BackupCommand {
    BackupCommand::RecordSite { tenant: tenant(), domain: domain(), site_type: SiteType::Static }
}

pub(super) fn record_completed() -> BackupCommand {
    BackupCommand::RecordCompleted { size_bytes: size(), duration_ms: duration() }
}

pub(super) fn record_failed() -> BackupCommand {
    BackupCommand::RecordFailed { reason: text("the disk is full") }
}

pub(super) fn created() -> Vec<BackupEvent> {
    vec![BackupEvent::BackupCreated { site: site() }]
}

/// The site has nothing to copy.
pub(super) fn refused() -> Vec<BackupEvent> {
    let failed = BackupEvent::BackupFailed { reason: text("the site does not exist"), was: was_asking() };
    [created(), vec![failed]].concat()
}

pub(super) fn running() -> Vec<BackupEvent> {
    let (site, tenant, domain) = (site(), tenant(), domain());
    [created(), vec![BackupEvent::BackupStarted { site, tenant, domain, site_type: SiteType::Static }]].concat()
}

pub(super) fn completed() -> Vec<BackupEvent> {
    [running(), vec![done(BackupStatus::Running)]].concat()
}

/// The job failed.
pub(super) fn broken() -> Vec<BackupEvent> {
    [running(), vec![failed("the disk is full", BackupStatus::Running)]].concat()
}

pub(super) fn done(status: BackupStatus) -> BackupEvent {
    BackupEvent::BackupCompleted { size_bytes: size(), duration_ms: duration(), was: was(status) }
}

pub(super) fn failed(reason: &str, status: BackupStatus) -> BackupEvent {
    BackupEvent::BackupFailed { reason: text(reason), was: was(status) }
}

/// The backup when it had this status, after the answer of the site.
pub(super) fn was(status: BackupStatus) -> BackupSummary {
    let (tenant, domain) = (Some(tenant()), Some(domain()));
    BackupSummary { site: site(), tenant, domain, site_type: Some(SiteType::Static), status }
}

/// The backup before the answer of the site.
pub(super) fn was_asking() -> BackupSummary {
    BackupSummary { site: site(), tenant: None, domain: None, site_type: None, status: BackupStatus::Created }
}

pub(super) fn site() -> SiteId {
    SiteId::new("s-1").unwrap()
}

pub(super) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn tenant() -> TenantId {
    TenantId::new("ada").unwrap()
}

fn domain() -> Domain {
    Domain::new("example.org").unwrap()
}

fn size() -> ByteSize {
    ByteSize::new(5_000).unwrap()
}

fn duration() -> Milliseconds {
    Milliseconds::new(300).unwrap()
}

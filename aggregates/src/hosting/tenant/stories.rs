//! Commands, events and values for the tests of the commands: Ada's tenant.

use super::{TenantCommand, TenantEvent};
use crate::hosting::{BackupId, ByteSize, Email, SiteId, Text};

pub(super) fn create() -> TenantCommand {
    TenantCommand::CreateTenant { name: name(), contact: contact() }
}

pub(super) fn count_backup(bytes: i64) -> TenantCommand {
    TenantCommand::CountBackup { backup: backup(), size_bytes: ByteSize::new(bytes).unwrap() }
}

pub(super) fn created() -> TenantEvent {
    TenantEvent::TenantCreated { name: name(), contact: contact().into() }
}

pub(super) fn site_counted(site: SiteId) -> TenantEvent {
    TenantEvent::SiteCounted { site }
}

pub(super) fn site_uncounted(site: SiteId) -> TenantEvent {
    TenantEvent::SiteUncounted { site }
}

pub(super) fn backup_counted(bytes: i64) -> TenantEvent {
    TenantEvent::BackupCounted { backup: backup(), size_bytes: ByteSize::new(bytes).unwrap() }
}

pub(super) fn site() -> SiteId {
    SiteId::new("s-1").unwrap()
}

fn backup() -> BackupId {
    BackupId::new("b-1").unwrap()
}

fn name() -> Text {
    Text::new("Ada's Teas").unwrap()
}

fn contact() -> Email {
    Email::new("ada@example.org").unwrap()
}

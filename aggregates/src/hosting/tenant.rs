//! A tenant, who owns sites.

mod count_backup;
mod count_site;
mod create;
mod rejection;
#[cfg(test)]
mod stories;
mod uncount_site;

use dormouse_kernel::{Aggregate, AggregateId, Context, DomainEvent, Personal};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::rejection::TenantRejection;
use crate::hosting::{BackupId, ByteSize, Email, SiteId, Text};

/// The state of a tenant, with what a listener of sites and backups counted.
///
/// The counters are sums, so the order of the counts does not matter. A listener sends each count with the key of its
/// job, so each counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tenant {
    /// The name. `None` before the tenant is created.
    pub name: Option<Text>,
    /// The e-mail address for messages to the tenant.
    pub contact: Option<Personal<Email>>,
    /// Sites that were created, minus sites that were deleted. It is negative while a deletion is counted before its
    /// creation.
    pub sites: i64,
    /// Completed backups.
    pub backups: u64,
    /// The bytes of all completed backups.
    pub backup_bytes: u64,
}

/// The commands of a tenant. Clients send the first one, a listener sends the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum TenantCommand {
    /// Creates the tenant.
    CreateTenant {
        /// The name.
        name: Text,
        /// The e-mail address for messages to the tenant.
        #[schemars(extend("x-personal" = true))]
        contact: Email,
    },
    /// Counts a site that was created.
    CountSite {
        /// The site.
        site: SiteId,
    },
    /// Counts a site that was deleted.
    UncountSite {
        /// The site.
        site: SiteId,
    },
    /// Counts a backup that was completed.
    CountBackup {
        /// The backup.
        backup: BackupId,
        /// The size of the backup.
        size_bytes: ByteSize,
    },
}

/// The events of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TenantEvent {
    /// The tenant was created.
    TenantCreated {
        /// The name.
        name: Text,
        /// The e-mail address for messages to the tenant.
        contact: Personal<Email>,
    },
    /// A site that was created was counted.
    SiteCounted {
        /// The site.
        site: SiteId,
    },
    /// A site that was deleted was counted.
    SiteUncounted {
        /// The site.
        site: SiteId,
    },
    /// A backup that was completed was counted.
    BackupCounted {
        /// The backup.
        backup: BackupId,
        /// The size of the backup.
        size_bytes: ByteSize,
    },
}

impl DomainEvent for TenantEvent {}

/// The reply to every command: the counters after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantReply {
    /// Sites that were created, minus sites that were deleted.
    pub sites: i64,
    /// Completed backups.
    pub backups: u64,
    /// The bytes of all completed backups.
    pub backup_bytes: u64,
}

impl Aggregate for Tenant {
    const TYPE: &'static str = "tenant";
    const INTERNAL_COMMANDS: &'static [&'static str] = &["CountSite", "UncountSite", "CountBackup"];
    type Command = TenantCommand;
    type Event = TenantEvent;
    type Reply = TenantReply;
    type Rejection = TenantRejection;

    fn decide(&self, command: TenantCommand, context: &mut Context<Self>) -> Result<TenantReply, TenantRejection> {
        match command {
            TenantCommand::CreateTenant { name, contact } => self.create(name, contact, context)?,
            TenantCommand::CountSite { site } => self.count_site(site, context)?,
            TenantCommand::UncountSite { site } => self.uncount_site(site, context)?,
            TenantCommand::CountBackup { backup, size_bytes } => self.count_backup(backup, size_bytes, context)?,
        }
        let Self { sites, backups, backup_bytes, .. } = *context.state();
        Ok(TenantReply { sites, backups, backup_bytes })
    }

    fn evolve(&mut self, event: &TenantEvent) {
        match event {
            TenantEvent::TenantCreated { name, contact } => {
                self.name = Some(name.clone());
                self.contact = Some(contact.clone());
            }
            TenantEvent::SiteCounted { .. } => self.sites = self.sites.saturating_add(1),
            TenantEvent::SiteUncounted { .. } => self.sites = self.sites.saturating_sub(1),
            TenantEvent::BackupCounted { size_bytes, .. } => {
                self.backups = self.backups.saturating_add(1);
                self.backup_bytes = self.backup_bytes.saturating_add(size_bytes.get());
            }
        }
    }

    fn owner<'a>(&'a self, id: &'a AggregateId) -> Option<&'a str> {
        Some(id.as_str())
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl Tenant {
    /// Refuses a count for a tenant that was not created.
    fn exists(&self) -> Result<(), TenantRejection> {
        self.name.as_ref().map(|_| ()).ok_or(TenantRejection::NotCreated)
    }
}

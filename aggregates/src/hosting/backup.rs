//! A backup of a site.

mod create;
mod record_completed;
mod record_failed;
mod record_site;
mod record_site_refused;
mod rejection;
mod status;
#[cfg(test)]
mod stories;
mod summary;
mod time_out;

use dormouse_kernel::{Aggregate, AggregateId, Context, DomainEvent};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::rejection::BackupRejection;
pub use self::status::BackupStatus;
pub use self::summary::BackupSummary;
use crate::hosting::{ByteSize, Domain, Milliseconds, SiteId, SiteType, TenantId, Text};

/// The timer that ends a backup without a result.
const BACKUP_TIMER: &str = "backup-limit";

/// The state of a backup. It stays when its site is deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backup {
    /// The status. `None` before the backup is created.
    pub status: Option<BackupStatus>,
    /// The site.
    pub site: Option<SiteId>,
    /// The tenant who owns the site, after the site has answered.
    pub tenant: Option<TenantId>,
    /// The domain of the site, after the site has answered.
    pub domain: Option<Domain>,
    /// What is installed on the site, after the site has answered.
    pub site_type: Option<SiteType>,
    /// The size of the backup, once it is completed.
    pub size_bytes: Option<ByteSize>,
    /// How long the job took, once the backup is completed.
    pub duration_ms: Option<Milliseconds>,
    /// Why the backup failed, if it did and no later result arrived.
    pub failed_because: Option<Text>,
}

/// The commands of a backup. Clients send the first one, jobs send the results, and the site and a timer send the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum BackupCommand {
    /// Creates the backup, and asks the site what there is to copy.
    CreateBackup {
        /// The site.
        site: SiteId,
    },
    /// What there is to copy: an answer of the site.
    RecordSite {
        /// The tenant who owns the site.
        tenant: TenantId,
        /// The domain of the site.
        domain: Domain,
        /// What is installed on the site.
        site_type: SiteType,
    },
    /// There is nothing to copy: an answer of the site.
    RecordSiteRefused,
    /// The backup is completed: a result of a job.
    RecordCompleted {
        /// The size of the backup.
        size_bytes: ByteSize,
        /// How long the job took.
        duration_ms: Milliseconds,
    },
    /// The backup could not be made: a result of a job.
    RecordFailed {
        /// Why it could not be made.
        reason: Text,
    },
    /// No result arrived in time: sent by a timer.
    TimeOutBackup,
}

/// The events of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackupEvent {
    /// The backup was created. The site is asked what there is to copy.
    BackupCreated {
        /// The site.
        site: SiteId,
    },
    /// The site has told what there is to copy. The job begins.
    BackupStarted {
        /// The site.
        site: SiteId,
        /// The tenant who owns the site.
        tenant: TenantId,
        /// The domain of the site.
        domain: Domain,
        /// What is installed on the site.
        site_type: SiteType,
    },
    /// The backup was completed. This may follow a failure: see [`BackupCommand::RecordCompleted`].
    BackupCompleted {
        /// The size of the backup.
        size_bytes: ByteSize,
        /// How long the job took.
        duration_ms: Milliseconds,
        /// The backup just before this event.
        was: BackupSummary,
    },
    /// The backup could not be made.
    BackupFailed {
        /// Why it could not be made.
        reason: Text,
        /// The backup just before this event.
        was: BackupSummary,
    },
}

impl DomainEvent for BackupEvent {}

/// The reply to every command: the backup after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupReply {
    /// The status.
    pub status: BackupStatus,
}

impl Aggregate for Backup {
    const TYPE: &'static str = "backup";
    const INTERNAL_COMMANDS: &'static [&'static str] =
        &["RecordSite", "RecordSiteRefused", "RecordCompleted", "RecordFailed", "TimeOutBackup"];
    type Command = BackupCommand;
    type Event = BackupEvent;
    type Reply = BackupReply;
    type Rejection = BackupRejection;

    fn decide(&self, command: BackupCommand, context: &mut Context<Self>) -> Result<BackupReply, BackupRejection> {
        let status = match command {
            BackupCommand::CreateBackup { site } => self.create(site, context)?,
            BackupCommand::RecordSite { tenant, domain, site_type } => {
                self.record_site(tenant, domain, site_type, context)?
            }
            BackupCommand::RecordSiteRefused => self.record_site_refused(context)?,
            BackupCommand::RecordCompleted { size_bytes, duration_ms } => {
                self.record_completed(size_bytes, duration_ms, context)?
            }
            BackupCommand::RecordFailed { reason } => self.record_failed(reason, context)?,
            BackupCommand::TimeOutBackup => self.time_out(context)?,
        };
        Ok(BackupReply { status })
    }

    fn evolve(&mut self, event: &BackupEvent) {
        match event {
            BackupEvent::BackupCreated { site } => {
                self.status = Some(BackupStatus::Created);
                self.site = Some(site.clone());
            }
            BackupEvent::BackupStarted { tenant, domain, site_type, .. } => {
                self.status = Some(BackupStatus::Running);
                self.tenant = Some(tenant.clone());
                self.domain = Some(domain.clone());
                self.site_type = Some(*site_type);
            }
            BackupEvent::BackupCompleted { size_bytes, duration_ms, .. } => {
                self.status = Some(BackupStatus::Completed);
                self.size_bytes = Some(*size_bytes);
                self.duration_ms = Some(*duration_ms);
                self.failed_because = None;
            }
            BackupEvent::BackupFailed { reason, .. } => {
                self.status = Some(BackupStatus::Failed);
                self.failed_because = Some(reason.clone());
            }
        }
    }

    fn owner<'a>(&'a self, _: &'a AggregateId) -> Option<&'a str> {
        self.tenant.as_ref().map(TenantId::as_str)
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl Backup {
    /// The backup as the next event describes it to readers that see only the event. Refused if it was not created.
    fn created(&self) -> Result<BackupSummary, BackupRejection> {
        let summary = || {
            let (site, tenant, domain) = (self.site.clone()?, self.tenant.clone(), self.domain.clone());
            Some(BackupSummary { site, tenant, domain, site_type: self.site_type, status: self.status? })
        };
        summary().ok_or(BackupRejection::NotCreated)
    }

    /// Whether the site has told what there is to copy.
    const fn has_started(&self) -> bool {
        self.site_type.is_some()
    }
}

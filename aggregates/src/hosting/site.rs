//! A site, from the reservation of its domain until it is deleted.

mod create;
mod delete;
mod describe_to_backup;
mod record_domain_refused;
mod record_domain_reserved;
mod record_provisioned;
mod record_provisioning_failed;
mod rejection;
mod status;
#[cfg(test)]
mod stories;
mod summary;
mod time_out_provisioning;

use dormouse_kernel::{Aggregate, AggregateId, Context, DomainEvent};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::rejection::SiteRejection;
pub use self::status::SiteStatus;
pub use self::summary::SiteSummary;
use crate::hosting::{
    BackupId, Domain, DomainReservation, DomainReservationCommand, Milliseconds, NewDomain, SiteId, SiteType, TenantId,
    Text,
};

/// The timer that ends a provisioning without a result.
const PROVISIONING_TIMER: &str = "provisioning-limit";

/// The state of a site.
///
/// A site is created once and deleted once, and its id is never used again. So a message that arrives late cannot be
/// meant for another site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Site {
    /// The status. `None` before the site is created.
    pub status: Option<SiteStatus>,
    /// The tenant who owns the site.
    pub tenant: Option<TenantId>,
    /// The domain.
    pub domain: Option<Domain>,
    /// What is installed on the site.
    pub site_type: Option<SiteType>,
    /// Whether the domain is reserved for this site.
    pub has_domain: bool,
    /// Why the provisioning failed, if it did and no later result arrived.
    pub failed_because: Option<Text>,
}

/// The commands of a site. Clients send the first two, jobs send the results of the provisioning, and other aggregates
/// and timers send the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum SiteCommand {
    /// Creates the site, and reserves its domain.
    CreateSite {
        /// The domain.
        domain: NewDomain,
        /// What is installed on the site.
        site_type: SiteType,
        /// The tenant who owns the site. Nobody checks that the tenant exists.
        tenant: TenantId,
    },
    /// Deletes the site, and releases its domain.
    DeleteSite,
    /// The domain is reserved for the site: an answer of the reservation.
    RecordDomainReserved {
        /// The domain.
        domain: Domain,
    },
    /// The domain could not be reserved for the site: an answer of the reservation.
    RecordDomainRefused,
    /// The site is provisioned: a result of a job.
    RecordProvisioned {
        /// How long the job took.
        duration_ms: Milliseconds,
    },
    /// The site could not be provisioned: a result of a job.
    RecordProvisioningFailed {
        /// Why it could not be provisioned.
        reason: Text,
    },
    /// No result of the provisioning arrived in time: sent by a timer.
    TimeOutProvisioning,
    /// Tells a backup what it copies: a question of the backup.
    DescribeToBackup {
        /// The backup.
        backup: BackupId,
    },
}

/// The events of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SiteEvent {
    /// The site was created. It has no domain yet.
    SiteCreated {
        /// The domain.
        domain: Domain,
        /// What is installed on the site.
        site_type: SiteType,
        /// The tenant who owns the site.
        tenant: TenantId,
    },
    /// The domain was reserved for the site. The provisioning begins.
    SiteDomainReserved {
        /// The site just before this event.
        was: SiteSummary,
    },
    /// The site was provisioned. This may follow a failure: see [`SiteCommand::RecordProvisioned`].
    SiteProvisioned {
        /// How long the job took.
        duration_ms: Milliseconds,
        /// The site just before this event.
        was: SiteSummary,
    },
    /// The site could not be provisioned, or its domain is taken.
    SiteProvisioningFailed {
        /// Why it failed.
        reason: Text,
        /// The site just before this event.
        was: SiteSummary,
    },
    /// The site was deleted.
    SiteDeleted {
        /// The site just before this event.
        was: SiteSummary,
    },
}

impl DomainEvent for SiteEvent {}

/// The reply to every command: the site after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteReply {
    /// The status.
    pub status: SiteStatus,
}

impl Aggregate for Site {
    const TYPE: &'static str = "site";
    const INTERNAL_COMMANDS: &'static [&'static str] = &[
        "RecordDomainReserved",
        "RecordDomainRefused",
        "RecordProvisioned",
        "RecordProvisioningFailed",
        "TimeOutProvisioning",
        "DescribeToBackup",
    ];
    type Command = SiteCommand;
    type Event = SiteEvent;
    type Reply = SiteReply;
    type Rejection = SiteRejection;

    fn decide(&self, command: SiteCommand, context: &mut Context<Self>) -> Result<SiteReply, SiteRejection> {
        let status = match command {
            SiteCommand::CreateSite { domain, site_type, tenant } => {
                self.create(domain.into(), site_type, tenant, context)?
            }
            SiteCommand::DeleteSite => self.delete(context)?,
            SiteCommand::RecordDomainReserved { domain } => self.record_domain_reserved(&domain, context)?,
            SiteCommand::RecordDomainRefused => self.record_domain_refused(context)?,
            SiteCommand::RecordProvisioned { duration_ms } => self.record_provisioned(duration_ms, context)?,
            SiteCommand::RecordProvisioningFailed { reason } => self.record_provisioning_failed(reason, context)?,
            SiteCommand::TimeOutProvisioning => self.time_out_provisioning(context)?,
            SiteCommand::DescribeToBackup { backup } => self.describe_to_backup(&backup, context)?,
        };
        Ok(SiteReply { status })
    }

    fn evolve(&mut self, event: &SiteEvent) {
        match event {
            SiteEvent::SiteCreated { domain, site_type, tenant } => {
                self.status = Some(SiteStatus::Created);
                self.domain = Some(domain.clone());
                self.site_type = Some(*site_type);
                self.tenant = Some(tenant.clone());
            }
            SiteEvent::SiteDomainReserved { .. } => {
                self.status = Some(SiteStatus::Provisioning);
                self.has_domain = true;
            }
            SiteEvent::SiteProvisioned { .. } => {
                self.status = Some(SiteStatus::Provisioned);
                self.failed_because = None;
            }
            SiteEvent::SiteProvisioningFailed { reason, .. } => {
                self.status = Some(SiteStatus::Failed);
                self.failed_because = Some(reason.clone());
            }
            SiteEvent::SiteDeleted { .. } => {
                self.status = Some(SiteStatus::Deleted);
                self.has_domain = false;
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

impl Site {
    /// The site as the next event describes it to readers that see only the event. Refused if it was not created.
    fn created(&self) -> Result<SiteSummary, SiteRejection> {
        let summary = || {
            let (tenant, domain) = (self.tenant.clone()?, self.domain.clone()?);
            Some(SiteSummary { tenant, domain, site_type: self.site_type?, status: self.status? })
        };
        summary().ok_or(SiteRejection::NotCreated)
    }

    /// The same. Refused if the site was deleted, too.
    fn existing(&self) -> Result<SiteSummary, SiteRejection> {
        let site = self.created()?;
        if site.status == SiteStatus::Deleted { Err(SiteRejection::Deleted) } else { Ok(site) }
    }

    /// Releases the domain. It does nothing if another site holds it.
    fn release(domain: &Domain, context: &mut Context<Self>) {
        let site = SiteId::from(context.id());
        context.send::<DomainReservation>(domain.as_str(), DomainReservationCommand::Release { site });
    }
}

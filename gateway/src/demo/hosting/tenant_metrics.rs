//! `tenant-metrics`: counts the sites and backups of tenants.

use std::time::Duration;

use dormouse_aggregates::hosting::{
    Backup, BackupEvent, BackupId, Site, SiteEvent, SiteId, Tenant, TenantCommand, TenantId,
};
use tracing::debug;

use crate::{Event, Failure, Handle, Handler, HandlerSources, Job, Retries, Sent};

/// Tells a tenant of each site and each backup, so that the tenant counts it.
#[derive(Clone, Copy)]
pub(super) struct TenantMetrics;

impl Handler for TenantMetrics {
    const NAME: &'static str = "tenant-metrics";

    fn retries() -> Option<Retries> {
        Some(Retries { tries: 3, pause: Duration::from_secs(30) })
    }

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Site>().of::<Backup>()
    }
}

impl Handle<Site> for TenantMetrics {
    async fn handle(&self, event: &Event<'_, Site>, job: &Job) -> Result<(), Failure> {
        let site = SiteId::from(event.id());
        match event.body() {
            SiteEvent::SiteCreated { tenant, .. } => tell(tenant, TenantCommand::CountSite { site }, job).await,
            SiteEvent::SiteDeleted { was } => tell(&was.tenant, TenantCommand::UncountSite { site }, job).await,
            SiteEvent::SiteDomainReserved { .. }
            | SiteEvent::SiteProvisioned { .. }
            | SiteEvent::SiteProvisioningFailed { .. } => Ok(()),
        }
    }
}

impl Handle<Backup> for TenantMetrics {
    async fn handle(&self, event: &Event<'_, Backup>, job: &Job) -> Result<(), Failure> {
        let BackupEvent::BackupCompleted { size_bytes, was, .. } = event.body() else { return Ok(()) };
        let Some(tenant) = &was.tenant else { return Ok(()) };
        let count = TenantCommand::CountBackup { backup: BackupId::from(event.id()), size_bytes: *size_bytes };
        tell(tenant, count, job).await
    }
}

/// A tenant that does not exist is no error: nobody checks that the tenant of a site exists.
async fn tell(tenant: &TenantId, command: TenantCommand, job: &Job) -> Result<(), Failure> {
    if let Sent::Refused(refusal) = job.send::<Tenant>(tenant.as_str(), command).await? {
        debug!(%tenant, code = refusal.code, "not counted");
    }
    Ok(())
}

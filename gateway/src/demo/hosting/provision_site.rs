//! `provision-site`: makes a site that has its domain.

use dormouse_aggregates::hosting::{Site, SiteCommand, SiteEvent, SiteId, SiteSummary, Text};
use dormouse_kernel::Refusal;
use tokio::time::Instant;
use tracing::warn;

use super::outside::{Outside, elapsed};
use super::ports::SiteOrder;
use crate::{Event, Failure, Handle, Handler, HandlerSources, Job, Sent};

/// Makes a site, and tells the site whether it succeeded. A failure is told after the last attempt.
pub(super) struct ProvisionSite(pub(super) Outside);

impl Handler for ProvisionSite {
    const NAME: &'static str = "provision-site";

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Site>()
    }
}

impl Handle<Site> for ProvisionSite {
    async fn handle(&self, event: &Event<'_, Site>, job: &Job) -> Result<(), Failure> {
        let SiteEvent::SiteDomainReserved { was } = event.body() else { return Ok(()) };
        let (order, start) = (order(SiteId::from(event.id()), was), Instant::now());
        let result = match self.0.provision(&order, job).await {
            Ok(()) => SiteCommand::RecordProvisioned { duration_ms: elapsed(start) },
            Err(error) if !self.0.is_last(job) => return Err(error.into()),
            Err(error) => SiteCommand::RecordProvisioningFailed { reason: Text::repaired(&error.to_string()) },
        };
        match job.send::<Site>(event.id().as_str(), result).await? {
            Sent::Accepted => Ok(()),
            // The site was deleted meanwhile. The removal may have come too early to see what was made here.
            Sent::Refused(Refusal { code, .. }) if code == "site-deleted" => Ok(self.0.remove(&order, job).await?),
            Sent::Refused(refusal) => {
                warn!(site = %event.id(), code = refusal.code, "a site refused the result of its provisioning");
                Ok(())
            }
        }
    }
}

/// The site that an event describes.
pub(super) fn order(site: SiteId, summary: &SiteSummary) -> SiteOrder {
    let SiteSummary { tenant, domain, site_type, .. } = summary;
    SiteOrder { site, tenant: tenant.clone(), domain: domain.clone(), site_type: *site_type }
}

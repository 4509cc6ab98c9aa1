//! `remove-site`: removes what was made for a site that was deleted.

use dormouse_aggregates::hosting::{Site, SiteEvent, SiteId};

use super::outside::Outside;
use super::provision_site::order;
use crate::{Event, Failure, Handle, Handler, HandlerSources, Job};

/// Removes a site. Its backups stay.
pub(super) struct RemoveSite(pub(super) Outside);

impl Handler for RemoveSite {
    const NAME: &'static str = "remove-site";

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Site>()
    }
}

impl Handle<Site> for RemoveSite {
    async fn handle(&self, event: &Event<'_, Site>, job: &Job) -> Result<(), Failure> {
        let SiteEvent::SiteDeleted { was } = event.body() else { return Ok(()) };
        Ok(self.0.remove(&order(SiteId::from(event.id()), was), job).await?)
    }
}

//! `RecordDomainRefused`: the domain could not be reserved, so the site fails.

use dormouse_kernel::Context;

use super::{Site, SiteEvent, SiteRejection, SiteStatus};
use crate::hosting::Text;

impl Site {
    /// The refusal of the reservation is the reason of the failure. A site that does not wait for its domain any more
    /// changes nothing.
    pub(super) fn record_domain_refused(&self, context: &mut Context<Self>) -> Result<SiteStatus, SiteRejection> {
        let was = self.created()?;
        if was.status != SiteStatus::Created {
            return Ok(was.status);
        }
        let detail = context.refusal().map_or("the domain was refused", |refusal| refusal.detail.as_str());
        let reason = Text::repaired(detail);
        context.emit(SiteEvent::SiteProvisioningFailed { reason, was });
        Ok(SiteStatus::Failed)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::hosting::SiteCommand::RecordDomainRefused;
    use crate::hosting::SiteReply;
    use crate::hosting::site::stories::{broken, created, deleted, failed, provisioned, provisioning, refused};

    #[test]
    fn a_site_without_its_domain_fails_for_the_reason_of_the_reservation() {
        let after = Given::<Site>::events(created())
            .after_refusal("domain-taken")
            .when(RecordDomainRefused)
            .then([failed("domain-taken", SiteStatus::Created)])
            .then_scheduled([])
            .and_replies(&SiteReply { status: SiteStatus::Failed });
        assert!(!after.state().has_domain);
        Given::<Site>::events(created())
            .when(RecordDomainRefused)
            .then([failed("the domain was refused", SiteStatus::Created)]);
    }

    #[test]
    fn a_site_that_does_not_wait_for_its_domain_changes_nothing() {
        for past in [refused(), provisioning(), provisioned(), broken(), deleted()] {
            Given::<Site>::events(past).after_refusal("domain-taken").when(RecordDomainRefused).then([]);
        }
        Given::<Site>::nothing().when(RecordDomainRefused).then_rejected("no-such-site");
    }
}

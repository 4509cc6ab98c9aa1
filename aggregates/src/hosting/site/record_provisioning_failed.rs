//! `RecordProvisioningFailed`: a job could not provision the site.

use dormouse_kernel::Context;

use super::{PROVISIONING_TIMER, Site, SiteEvent, SiteRejection, SiteStatus};
use crate::hosting::Text;

impl Site {
    /// The first failure counts, and none counts after a success. A failed site keeps its domain until it is deleted.
    pub(super) fn record_provisioning_failed(
        &self,
        reason: Text,
        context: &mut Context<Self>,
    ) -> Result<SiteStatus, SiteRejection> {
        let was = self.existing()?;
        match was.status {
            SiteStatus::Created => Err(SiteRejection::DomainNotReserved),
            SiteStatus::Provisioning => {
                context.cancel(PROVISIONING_TIMER);
                context.emit(SiteEvent::SiteProvisioningFailed { reason, was });
                Ok(SiteStatus::Failed)
            }
            SiteStatus::Provisioned | SiteStatus::Failed | SiteStatus::Deleted => Ok(was.status),
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{ExpectedTimer, Given};

    use super::*;
    use crate::hosting::SiteReply;
    use crate::hosting::site::stories::{
        broken, created, deleted, failed, provisioned, provisioning, record_failed, refused,
    };

    #[test]
    fn a_failed_site_says_why_and_keeps_its_domain() {
        let after = Given::<Site>::events(provisioning())
            .when(record_failed())
            .then([failed("the disk is full", SiteStatus::Provisioning)])
            .then_sent([])
            .then_scheduled([ExpectedTimer::cancelled("provisioning-limit")])
            .and_replies(&SiteReply { status: SiteStatus::Failed });
        assert_eq!(after.state().failed_because.as_ref().map(Text::as_str), Some("the disk is full"));
        assert!(after.state().has_domain);
    }

    #[test]
    fn a_failure_after_another_result_changes_nothing() {
        for past in [provisioned(), broken(), refused()] {
            Given::<Site>::events(past).when(record_failed()).then([]).then_scheduled([]);
        }
    }

    #[test]
    fn a_result_without_a_provisioning_is_refused() {
        Given::<Site>::events(deleted()).when(record_failed()).then_rejected("site-deleted");
        Given::<Site>::events(created()).when(record_failed()).then_rejected("domain-not-reserved");
        Given::<Site>::nothing().when(record_failed()).then_rejected("no-such-site");
    }
}

//! `RecordProvisioned`: a job has provisioned the site.

use dormouse_kernel::Context;

use super::{PROVISIONING_TIMER, Site, SiteEvent, SiteRejection, SiteStatus};
use crate::hosting::Milliseconds;

impl Site {
    /// A job that ends after the time limit, or succeeds at a later try, has provisioned the site after all: the site
    /// has kept its domain, so it becomes provisioned. A repeated result changes nothing.
    ///
    /// A site that was deleted meanwhile refuses the result, so that the job learns that it must undo what it made.
    pub(super) fn record_provisioned(
        &self,
        duration_ms: Milliseconds,
        context: &mut Context<Self>,
    ) -> Result<SiteStatus, SiteRejection> {
        let was = self.existing()?;
        if !self.has_domain {
            return Err(SiteRejection::DomainNotReserved);
        }
        if was.status == SiteStatus::Provisioned {
            return Ok(was.status);
        }
        if was.status == SiteStatus::Provisioning {
            context.cancel(PROVISIONING_TIMER);
        }
        context.emit(SiteEvent::SiteProvisioned { duration_ms, was });
        Ok(SiteStatus::Provisioned)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{ExpectedTimer, Given};

    use super::*;
    use crate::hosting::SiteReply;
    use crate::hosting::site::stories::{
        broken, created, deleted, done, provisioned, provisioning, record_provisioned, refused,
    };

    #[test]
    fn a_provisioned_site_does_not_wait_any_more() {
        Given::<Site>::events(provisioning())
            .when(record_provisioned())
            .then([done(SiteStatus::Provisioning)])
            .then_scheduled([ExpectedTimer::cancelled("provisioning-limit")])
            .and_replies(&SiteReply { status: SiteStatus::Provisioned });
    }

    #[test]
    fn a_late_success_ends_a_failure() {
        let after = Given::<Site>::events(broken())
            .when(record_provisioned())
            .then([done(SiteStatus::Failed)])
            .then_scheduled([]);
        assert_eq!(after.state().status, Some(SiteStatus::Provisioned));
        assert_eq!(after.state().failed_because, None);
    }

    #[test]
    fn a_repeated_result_changes_nothing() {
        Given::<Site>::events(provisioned()).when(record_provisioned()).then([]).then_scheduled([]);
    }

    #[test]
    fn the_job_of_a_site_that_was_deleted_is_told() {
        Given::<Site>::events(deleted()).when(record_provisioned()).then_rejected("site-deleted");
    }

    #[test]
    fn a_site_without_its_domain_cannot_be_provisioned() {
        for past in [created(), refused()] {
            Given::<Site>::events(past).when(record_provisioned()).then_rejected("domain-not-reserved");
        }
        Given::<Site>::nothing().when(record_provisioned()).then_rejected("no-such-site");
    }
}

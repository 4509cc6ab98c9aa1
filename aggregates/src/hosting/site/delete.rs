//! `DeleteSite`: deletes a site, and releases its domain.

use dormouse_kernel::Context;

use super::{PROVISIONING_TIMER, Site, SiteEvent, SiteRejection, SiteStatus};

impl Site {
    /// A site that waits for its domain releases it, too: the release arrives after the request.
    pub(super) fn delete(&self, context: &mut Context<Self>) -> Result<SiteStatus, SiteRejection> {
        let was = self.existing()?;
        if was.status == SiteStatus::Provisioning {
            context.cancel(PROVISIONING_TIMER);
        }
        Self::release(&was.domain, context);
        context.emit(SiteEvent::SiteDeleted { was });
        Ok(SiteStatus::Deleted)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{ExpectedTimer, Given, Message};

    use super::*;
    use crate::hosting::SiteCommand::DeleteSite;
    use crate::hosting::site::stories::{broken, created, deleted, provisioned, provisioning, refused, was};
    use crate::hosting::{DomainReservation, DomainReservationCommand, SiteId, SiteReply};

    fn release() -> Message {
        let site = SiteId::new("test").unwrap();
        Message::to::<DomainReservation>("example.org", DomainReservationCommand::Release { site })
    }

    #[test]
    fn a_deleted_site_releases_its_domain() {
        for (past, status) in [
            (created(), SiteStatus::Created),
            (provisioned(), SiteStatus::Provisioned),
            (broken(), SiteStatus::Failed),
            (refused(), SiteStatus::Failed),
        ] {
            let after = Given::<Site>::events(past)
                .when(DeleteSite)
                .then([SiteEvent::SiteDeleted { was: was(status) }])
                .then_sent([release()])
                .then_scheduled([])
                .and_replies(&SiteReply { status: SiteStatus::Deleted });
            assert!(!after.state().has_domain);
        }
    }

    #[test]
    fn a_deletion_amid_the_provisioning_cancels_its_timer() {
        Given::<Site>::events(provisioning())
            .when(DeleteSite)
            .then([SiteEvent::SiteDeleted { was: was(SiteStatus::Provisioning) }])
            .then_sent([release()])
            .then_scheduled([ExpectedTimer::cancelled("provisioning-limit")]);
    }

    #[test]
    fn a_site_is_deleted_once() {
        Given::<Site>::events(deleted()).when(DeleteSite).then_rejected("site-deleted");
        Given::<Site>::nothing().when(DeleteSite).then_rejected("no-such-site");
    }
}

//! `RecordDomainReserved`: the domain is reserved for the site, and the provisioning begins.

use dormouse_kernel::{After, Context};

use super::{PROVISIONING_TIMER, Site, SiteCommand, SiteEvent, SiteRejection, SiteStatus};
use crate::hosting::{Domain, limits};

impl Site {
    /// A site that was deleted meanwhile gives the domain back. So does a site whose reservation was refused before: a
    /// request that was refused may be decided again when a server starts again, and then the domain may be free.
    pub(super) fn record_domain_reserved(
        &self,
        domain: &Domain,
        context: &mut Context<Self>,
    ) -> Result<SiteStatus, SiteRejection> {
        let was = self.created()?;
        if was.domain != *domain {
            return Err(SiteRejection::OtherDomain { domain: was.domain });
        }
        if was.status == SiteStatus::Created {
            context.emit(SiteEvent::SiteDomainReserved { was });
            let limit = After(limits::PROVISIONING_LIMIT);
            context.schedule(PROVISIONING_TIMER, limit, SiteCommand::TimeOutProvisioning);
            return Ok(SiteStatus::Provisioning);
        }
        if !self.has_domain {
            Self::release(domain, context);
        }
        Ok(was.status)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dormouse_kernel::{ExpectedTimer, Given, Message};

    use super::*;
    use crate::hosting::site::stories::{broken, created, deleted, domain, provisioned, provisioning, refused, was};
    use crate::hosting::{DomainReservation, DomainReservationCommand, SiteId, SiteReply};

    fn reserved() -> SiteCommand {
        SiteCommand::RecordDomainReserved { domain: domain() }
    }

    #[test]
    fn a_site_with_its_domain_is_provisioned_within_15_minutes() {
        let limit = After(Duration::from_secs(900));
        let after = Given::<Site>::events(created())
            .when(reserved())
            .then([SiteEvent::SiteDomainReserved { was: was(SiteStatus::Created) }])
            .then_sent([])
            .then_scheduled([ExpectedTimer::set("provisioning-limit", limit, SiteCommand::TimeOutProvisioning)])
            .and_replies(&SiteReply { status: SiteStatus::Provisioning });
        assert!(after.state().has_domain);
    }

    #[test]
    fn an_answer_that_is_repeated_changes_nothing() {
        for past in [provisioning(), provisioned(), broken()] {
            Given::<Site>::events(past).when(reserved()).then([]).then_sent([]).then_scheduled([]);
        }
    }

    #[test]
    fn a_site_that_no_longer_wants_the_domain_gives_it_back() {
        for past in [deleted(), refused()] {
            let site = SiteId::new("test").unwrap();
            let release = Message::to::<DomainReservation>("example.org", DomainReservationCommand::Release { site });
            Given::<Site>::events(past).when(reserved()).then([]).then_sent([release]).then_scheduled([]);
        }
    }

    #[test]
    fn a_domain_that_the_site_did_not_ask_for_is_refused() {
        let other = SiteCommand::RecordDomainReserved { domain: Domain::new("example.net").unwrap() };
        Given::<Site>::events(created()).when(other).then_rejected("other-domain");
        Given::<Site>::nothing().when(reserved()).then_rejected("no-such-site");
    }
}

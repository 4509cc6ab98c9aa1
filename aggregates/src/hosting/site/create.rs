//! `CreateSite`: creates a site once, and reserves its domain.

use dormouse_kernel::Context;

use super::{Site, SiteCommand, SiteEvent, SiteRejection, SiteStatus};
use crate::hosting::{Domain, DomainReservation, DomainReservationCommand, SiteId, SiteType, TenantId};

impl Site {
    pub(super) fn create(
        &self,
        domain: Domain,
        site_type: SiteType,
        tenant: TenantId,
        context: &mut Context<Self>,
    ) -> Result<SiteStatus, SiteRejection> {
        if self.status.is_some() {
            return Err(SiteRejection::AlreadyCreated);
        }
        let site = SiteId::from(context.id());
        context
            .send::<DomainReservation>(domain.as_str(), DomainReservationCommand::Reserve { site })
            .on_refused(SiteCommand::RecordDomainRefused);
        context.emit(SiteEvent::SiteCreated { domain, site_type, tenant });
        Ok(SiteStatus::Created)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::hosting::SiteReply;
    use crate::hosting::site::stories::{broken, create, created, deleted, domain, provisioned, provisioning, tenant};

    #[test]
    fn a_new_site_asks_for_its_domain() {
        let site = SiteId::new("test").unwrap();
        let question = Message::to::<DomainReservation>("example.org", DomainReservationCommand::Reserve { site })
            .on_refused::<Site>("test", SiteCommand::RecordDomainRefused);
        let after = Given::<Site>::nothing()
            .when(create())
            .then(created())
            .then_sent([question])
            .then_scheduled([])
            .and_replies(&SiteReply { status: SiteStatus::Created });
        let expected = Site {
            status: Some(SiteStatus::Created),
            tenant: Some(tenant()),
            domain: Some(domain()),
            site_type: Some(SiteType::Wordpress),
            has_domain: false,
            failed_because: None,
        };
        assert_eq!(*after.state(), expected);
    }

    #[test]
    fn a_site_is_created_once_whatever_its_status_is() {
        for past in [created(), provisioning(), provisioned(), broken(), deleted()] {
            Given::<Site>::events(past).when(create()).then_rejected("site-already-created");
        }
    }
}

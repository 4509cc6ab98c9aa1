//! `Reserve`: reserves a free domain for a site, and tells the site.

use dormouse_kernel::Context;

use super::{
    DomainHolder, DomainReservation, DomainReservationCommand, DomainReservationEvent, DomainReservationRejection,
};
use crate::hosting::{Domain, Site, SiteCommand, SiteId};

impl DomainReservation {
    /// A site that holds the domain already gets the same answer again. A site that does not want the domain refuses
    /// the answer, and the domain becomes free.
    pub(super) fn reserve(
        &self,
        domain: Domain,
        site: SiteId,
        context: &mut Context<Self>,
    ) -> Result<DomainHolder, DomainReservationRejection> {
        match &self.holder {
            Some(holder) if *holder != site => return Err(DomainReservationRejection::Taken),
            Some(_) => {}
            None => context.emit(DomainReservationEvent::DomainReserved { site: site.clone() }),
        }
        context
            .send::<Site>(site.as_str(), SiteCommand::RecordDomainReserved { domain })
            .on_refused(DomainReservationCommand::Release { site: site.clone() });
        Ok(DomainHolder { site: Some(site) })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;

    fn site(id: &str) -> SiteId {
        SiteId::new(id).unwrap()
    }

    fn reserve(id: &str) -> DomainReservationCommand {
        DomainReservationCommand::Reserve { site: site(id) }
    }

    fn reserved(id: &str) -> DomainReservationEvent {
        DomainReservationEvent::DomainReserved { site: site(id) }
    }

    fn answer(id: &str) -> Message {
        let domain = Domain::new("example.org").unwrap();
        Message::to::<Site>(id, SiteCommand::RecordDomainReserved { domain })
            .on_refused::<DomainReservation>("example.org", DomainReservationCommand::Release { site: site(id) })
    }

    fn given(past: impl IntoIterator<Item = DomainReservationEvent>) -> Given<DomainReservation> {
        Given::events(past).with_id("example.org")
    }

    #[test]
    fn a_free_domain_is_reserved_and_the_site_is_told() {
        let released = DomainReservationEvent::DomainReleased { site: site("s-1") };
        for past in [vec![], vec![reserved("s-1"), released]] {
            given(past)
                .when(reserve("s-2"))
                .then([reserved("s-2")])
                .then_sent([answer("s-2")])
                .and_replies(&DomainHolder { site: Some(site("s-2")) });
        }
    }

    #[test]
    fn the_site_that_holds_the_domain_is_told_again() {
        given([reserved("s-1")]).when(reserve("s-1")).then([]).then_sent([answer("s-1")]);
    }

    #[test]
    fn a_domain_that_another_site_holds_is_taken() {
        given([reserved("s-1")]).when(reserve("s-2")).then_rejected("domain-taken").then_sent([]);
    }

    #[test]
    fn a_reservation_is_named_by_a_domain_in_its_ascii_form() {
        for id in ["localhost", "Example.org", "bücher.example", "127.0.0.1"] {
            Given::<DomainReservation>::nothing().with_id(id).when(reserve("s-1")).then_rejected("invalid-domain");
        }
    }
}

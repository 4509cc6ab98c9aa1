//! `Release`: makes a domain free, if the site holds it.

use dormouse_kernel::Context;

use super::{DomainHolder, DomainReservation, DomainReservationEvent};
use crate::hosting::SiteId;

impl DomainReservation {
    /// A site that does not hold the domain changes nothing: a site whose reservation was refused may send this, too.
    pub(super) fn release(&self, site: SiteId, context: &mut Context<Self>) -> DomainHolder {
        if self.holder.as_ref() != Some(&site) {
            return DomainHolder { site: self.holder.clone() };
        }
        context.emit(DomainReservationEvent::DomainReleased { site });
        DomainHolder { site: None }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::hosting::DomainReservationCommand::Release;
    use crate::hosting::DomainReservationEvent::{DomainReleased, DomainReserved};

    fn site(id: &str) -> SiteId {
        SiteId::new(id).unwrap()
    }

    fn given(past: impl IntoIterator<Item = DomainReservationEvent>) -> Given<DomainReservation> {
        Given::events(past).with_id("example.org")
    }

    #[test]
    fn the_holder_makes_the_domain_free() {
        let after = given([DomainReserved { site: site("s-1") }])
            .when(Release { site: site("s-1") })
            .then([DomainReleased { site: site("s-1") }])
            .and_replies(&DomainHolder { site: None });
        assert_eq!(after.state().holder, None);
    }

    #[test]
    fn another_site_changes_nothing() {
        given([DomainReserved { site: site("s-1") }])
            .when(Release { site: site("s-2") })
            .then([])
            .and_replies(&DomainHolder { site: Some(site("s-1")) });
        given([]).when(Release { site: site("s-1") }).then([]).and_replies(&DomainHolder { site: None });
    }
}

//! The reservation of a domain for a site.

mod rejection;
mod release;
mod reserve;

use dormouse_kernel::{Aggregate, Context, DomainEvent};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::rejection::DomainReservationRejection;
use crate::hosting::{Domain, SiteId};

/// The reservation of a domain for at most one site at a time. The aggregate's id is the [`Domain`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DomainReservation {
    /// The site that holds the domain. `None` if the domain is free.
    pub holder: Option<SiteId>,
}

/// The commands of a reservation. Sites send them, not clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum DomainReservationCommand {
    /// Reserves the domain for a site, which gets the answer as a message.
    Reserve {
        /// The site.
        site: SiteId,
    },
    /// Makes the domain free, if this site holds it.
    Release {
        /// The site.
        site: SiteId,
    },
}

/// The events of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DomainReservationEvent {
    /// The domain was reserved for a site.
    DomainReserved {
        /// The site.
        site: SiteId,
    },
    /// The domain became free.
    DomainReleased {
        /// The site that held it.
        site: SiteId,
    },
}

impl DomainEvent for DomainReservationEvent {}

/// The reply to every command: the site that holds the domain after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DomainHolder {
    /// The site. `None` if the domain is free.
    pub site: Option<SiteId>,
}

impl Aggregate for DomainReservation {
    const TYPE: &'static str = "domain-reservation";
    const INTERNAL_COMMANDS: &'static [&'static str] = &["Reserve", "Release"];
    type Command = DomainReservationCommand;
    type Event = DomainReservationEvent;
    type Reply = DomainHolder;
    type Rejection = DomainReservationRejection;

    fn decide(
        &self,
        command: DomainReservationCommand,
        context: &mut Context<Self>,
    ) -> Result<DomainHolder, DomainReservationRejection> {
        let domain = Domain::new(context.id().as_str()).map_err(DomainReservationRejection::InvalidDomain)?;
        match command {
            DomainReservationCommand::Reserve { site } => self.reserve(domain, site, context),
            DomainReservationCommand::Release { site } => Ok(self.release(site, context)),
        }
    }

    fn evolve(&mut self, event: &DomainReservationEvent) {
        match event {
            DomainReservationEvent::DomainReserved { site } => self.holder = Some(site.clone()),
            DomainReservationEvent::DomainReleased { .. } => self.holder = None,
        }
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

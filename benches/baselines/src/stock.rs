//! The inventory of `dormouse-aggregates` as an aggregate of cqrs-es, with the same decisions and events.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use dormouse_aggregates::commerce::{Inventory, InventoryCommand, InventoryEvent, InventoryRejection};
use dormouse_kernel::{Aggregate as _, AggregateId, Context, SystemIds, Timestamp, Version};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Stock(Inventory);

/// Dormouse's aggregates get their id from the context; in cqrs-es the command contains it if it is needed.
pub(crate) struct Command {
    pub(crate) id: String,
    pub(crate) command: InventoryCommand,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event(InventoryEvent);

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        let name = match self.0 {
            InventoryEvent::InventoryUpdated { .. } => "InventoryUpdated",
            InventoryEvent::StockReserved { .. } => "StockReserved",
            InventoryEvent::StockReleased { .. } => "StockReleased",
            InventoryEvent::StockCommitted { .. } => "StockCommitted",
        };
        name.to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl Aggregate for Stock {
    const TYPE: &'static str = "inventory";
    type Command = Command;
    type Event = Event;
    type Error = InventoryRejection;
    type Services = ();

    async fn handle(&mut self, command: Command, (): &(), sink: &EventSink<Self>) -> Result<(), InventoryRejection> {
        let emitted = self.decide(command)?;
        for event in emitted {
            sink.write(Event(event), self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        self.0.evolve(&event.0);
    }
}

impl Stock {
    fn decide(&self, Command { id, command }: Command) -> Result<Vec<InventoryEvent>, InventoryRejection> {
        let id = AggregateId::new(id).map_err(|_| InventoryRejection::NoChange)?;
        let mut context = Context::new(&id, &self.0, Version::ZERO, Timestamp::UNIX_EPOCH, &SystemIds);
        self.0.decide(command, &mut context)?;
        Ok(context.into_effects().map_err(|_| InventoryRejection::NoChange)?.events)
    }
}

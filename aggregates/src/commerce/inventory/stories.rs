//! Commands, events and values for the tests of the commands.

use super::{InventoryCommand, InventoryEvent};
use crate::commerce::{OrderId, Quantity, Text};

pub(super) fn update(change: i64) -> InventoryCommand {
    InventoryCommand::UpdateInventory { change, reason: reason() }
}

pub(super) fn reserve(id: &str, pieces: i64) -> InventoryCommand {
    InventoryCommand::ReserveStock { order: order(id), quantity: quantity(pieces) }
}

pub(super) fn updated(change: i64) -> InventoryEvent {
    InventoryEvent::InventoryUpdated { change, reason: reason() }
}

pub(super) fn reserved(id: &str, pieces: i64) -> InventoryEvent {
    InventoryEvent::StockReserved { order: order(id), quantity: quantity(pieces) }
}

pub(super) fn released(id: &str, pieces: i64) -> InventoryEvent {
    InventoryEvent::StockReleased { order: order(id), quantity: quantity(pieces) }
}

pub(super) fn committed(id: &str, pieces: i64) -> InventoryEvent {
    InventoryEvent::StockCommitted { order: order(id), quantity: quantity(pieces) }
}

pub(super) fn order(id: &str) -> OrderId {
    OrderId::new(id).unwrap()
}

pub(super) fn quantity(pieces: i64) -> Quantity {
    Quantity::new(pieces).unwrap()
}

fn reason() -> Text {
    Text::new("counted").unwrap()
}

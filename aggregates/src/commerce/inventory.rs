//! The stock of one sku: what is there, and what of it is promised to orders.

mod commit;
mod rejection;
mod release;
mod reserve;
#[cfg(test)]
mod stories;
mod update;

use std::collections::BTreeMap;

use dormouse_kernel::{Aggregate, Context, DomainEvent};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::rejection::InventoryRejection;
use crate::commerce::{OrderId, Quantity, Sku, Text};

/// The stock of one sku. The aggregate's id is the [`Sku`].
///
/// Invariant: what is reserved is the sum of the reservations, and never more than what is on hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// Pieces in the house.
    pub on_hand: u64,
    /// Pieces of these that are promised to orders.
    pub reserved: u64,
    /// What is promised to whom: at most one reservation for each order.
    pub reservations: BTreeMap<OrderId, Quantity>,
}

/// What can be asked of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum InventoryCommand {
    /// Stock came in, went out, or was counted again.
    UpdateInventory {
        /// How many pieces more, or fewer if negative. What is reserved cannot be taken away.
        change: i64,
        /// Why.
        reason: Text,
    },
    /// Promises pieces to an order.
    ReserveStock {
        /// To which.
        order: OrderId,
        /// How many.
        quantity: Quantity,
    },
    /// Takes back what was promised to an order.
    ReleaseStock {
        /// To which.
        order: OrderId,
    },
    /// What was promised to an order leaves the house.
    CommitStock {
        /// To which.
        order: OrderId,
    },
}

/// What can happen to an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InventoryEvent {
    /// Stock came in, went out, or was counted again.
    InventoryUpdated {
        /// How many pieces more, or fewer if negative.
        change: i64,
        /// Why.
        reason: Text,
    },
    /// Pieces were promised to an order.
    StockReserved {
        /// To which.
        order: OrderId,
        /// How many.
        quantity: Quantity,
    },
    /// What was promised was taken back.
    StockReleased {
        /// From which order.
        order: OrderId,
        /// How many.
        quantity: Quantity,
    },
    /// What was promised left the house.
    StockCommitted {
        /// For which order.
        order: OrderId,
        /// How many.
        quantity: Quantity,
    },
}

impl DomainEvent for InventoryEvent {}

/// What a caller gets back from every command: how much there is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockLevel {
    /// Pieces in the house.
    pub on_hand: u64,
    /// Pieces of these that are promised to orders.
    pub reserved: u64,
    /// Pieces that can still be promised.
    pub available: u64,
}

impl Aggregate for Inventory {
    const TYPE: &'static str = "inventory";
    type Command = InventoryCommand;
    type Event = InventoryEvent;
    type Reply = StockLevel;
    type Rejection = InventoryRejection;

    fn decide(&self, command: InventoryCommand, context: &mut Context<Self>) -> Result<StockLevel, InventoryRejection> {
        Sku::new(context.id().as_str()).map_err(InventoryRejection::InvalidSku)?;
        match command {
            InventoryCommand::UpdateInventory { change, reason } => self.update(change, reason, context),
            InventoryCommand::ReserveStock { order, quantity } => self.reserve(order, quantity, context),
            InventoryCommand::ReleaseStock { order } => self.release(order, context),
            InventoryCommand::CommitStock { order } => self.commit(order, context),
        }
    }

    fn evolve(&mut self, event: &InventoryEvent) {
        match event {
            InventoryEvent::InventoryUpdated { change, .. } => {
                self.on_hand = self.on_hand.saturating_add_signed(*change);
            }
            InventoryEvent::StockReserved { order, quantity } => {
                self.reserved = self.reserved.saturating_add(pieces(*quantity));
                self.reservations.insert(order.clone(), *quantity);
            }
            InventoryEvent::StockReleased { order, quantity } => {
                self.reserved = self.reserved.saturating_sub(pieces(*quantity));
                self.reservations.remove(order);
            }
            InventoryEvent::StockCommitted { order, quantity } => {
                self.on_hand = self.on_hand.saturating_sub(pieces(*quantity));
                self.reserved = self.reserved.saturating_sub(pieces(*quantity));
                self.reservations.remove(order);
            }
        }
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl Inventory {
    /// Pieces that can still be promised, or taken away.
    #[must_use]
    pub const fn available(&self) -> u64 {
        self.on_hand.saturating_sub(self.reserved)
    }

    /// What is promised to `order`.
    fn reservation(&self, order: &OrderId) -> Result<Quantity, InventoryRejection> {
        let reserved = self.reservations.get(order).copied();
        reserved.ok_or_else(|| InventoryRejection::NotReserved { order: order.clone() })
    }
}

impl StockLevel {
    const fn of(on_hand: u64, reserved: u64) -> Self {
        Self { on_hand, reserved, available: on_hand.saturating_sub(reserved) }
    }
}

fn pieces(quantity: Quantity) -> u64 {
    u64::from(quantity.get())
}

//! The stock of one sku, and how much of it is reserved for orders.

mod commit;
mod rejection;
mod release;
mod reserve;
mod reserve_line;
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
/// Invariant: `reserved` is the sum of the reservations, and never more than `on_hand`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// Pieces in the warehouse.
    pub on_hand: u64,
    /// Pieces of these that are reserved for orders.
    pub reserved: u64,
    /// The reservations: at most one for each order.
    pub reservations: BTreeMap<OrderId, Quantity>,
}

/// The commands of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum InventoryCommand {
    /// Adds or removes stock, after a delivery, a loss or a count.
    UpdateInventory {
        /// How many pieces more, or fewer if negative. Reserved pieces cannot be removed.
        change: i64,
        /// Why the stock changes.
        reason: Text,
    },
    /// Reserves pieces for an order by hand. A confirmed order reserves its stock by itself.
    ReserveStock {
        /// The order.
        order: OrderId,
        /// How many pieces.
        quantity: Quantity,
    },
    /// Reserves the pieces that a confirmed order needs, and tells the order. Only orders send it. A reservation that
    /// was made for the order by hand is replaced.
    ReserveLine {
        /// The order.
        order: OrderId,
        /// How many pieces the order needs.
        quantity: Quantity,
    },
    /// Makes the pieces that are reserved for an order available again.
    ReleaseStock {
        /// The order.
        order: OrderId,
    },
    /// Removes the pieces that are reserved for an order, because they leave the warehouse.
    CommitStock {
        /// The order.
        order: OrderId,
    },
}

/// The events of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InventoryEvent {
    /// Stock was added or removed.
    InventoryUpdated {
        /// How many pieces more, or fewer if negative.
        change: i64,
        /// Why the stock changed.
        reason: Text,
    },
    /// Pieces were reserved for an order.
    StockReserved {
        /// The order.
        order: OrderId,
        /// How many pieces.
        quantity: Quantity,
    },
    /// Reserved pieces became available again.
    StockReleased {
        /// The order that they were reserved for.
        order: OrderId,
        /// How many pieces.
        quantity: Quantity,
    },
    /// Reserved pieces left the warehouse.
    StockCommitted {
        /// The order that they were reserved for.
        order: OrderId,
        /// How many pieces.
        quantity: Quantity,
    },
}

impl DomainEvent for InventoryEvent {}

/// The reply to every command: the stock after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockLevel {
    /// Pieces in the warehouse.
    pub on_hand: u64,
    /// Pieces of these that are reserved for orders.
    pub reserved: u64,
    /// Pieces that can still be reserved.
    pub available: u64,
}

impl Aggregate for Inventory {
    const TYPE: &'static str = "inventory";
    const INTERNAL_COMMANDS: &'static [&'static str] = &["ReserveLine"];
    type Command = InventoryCommand;
    type Event = InventoryEvent;
    type Reply = StockLevel;
    type Rejection = InventoryRejection;

    fn decide(&self, command: InventoryCommand, context: &mut Context<Self>) -> Result<StockLevel, InventoryRejection> {
        let sku = Sku::new(context.id().as_str()).map_err(InventoryRejection::InvalidSku)?;
        match command {
            InventoryCommand::UpdateInventory { change, reason } => self.update(change, reason, context),
            InventoryCommand::ReserveStock { order, quantity } => self.reserve(order, quantity, context),
            InventoryCommand::ReserveLine { order, quantity } => self.reserve_line(sku, order, quantity, context),
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
    /// Pieces that can still be reserved or removed.
    #[must_use]
    pub const fn available(&self) -> u64 {
        self.on_hand.saturating_sub(self.reserved)
    }

    /// How many pieces are reserved for `order`.
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

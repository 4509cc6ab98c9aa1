//! The stock of each sku.

use dormouse_aggregates::commerce::{Inventory, InventoryEvent};
use dormouse_kernel::AggregateId;
use dormouse_projections::{Event, Fields, Key, Keys, Project, Projection, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::LOW_STOCK;
use crate::Moment;

/// The view `inventory`: one document for each sku. The key is the sku.
#[derive(Clone, Copy, Debug)]
pub struct InventoryLevels;

/// The stock of a sku.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryLevel {
    /// The sku.
    #[schemars(with = "String")]
    pub sku: AggregateId,
    /// Pieces in the warehouse.
    pub on_hand: u64,
    /// Pieces of these that are reserved for orders.
    pub reserved: u64,
    /// Pieces that can still be reserved.
    pub available: u64,
    /// Orders that have a reservation.
    pub reservations: u64,
    /// Fewer than ten pieces are available.
    pub low_stock: bool,
    /// When the stock last changed.
    pub updated_at: Moment,
}

impl Projection for InventoryLevels {
    const NAME: &'static str = "inventory";
    type Document = InventoryLevel;

    fn fields() -> Fields {
        Fields::none().text("sku").integer("on_hand").integer("available").boolean("low_stock").text("updated_at")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Inventory>()
    }
}

impl Project<Inventory> for InventoryLevels {
    fn keys(event: &Event<'_, Inventory>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<InventoryLevel>, event: &Event<'_, Inventory>, _: &Key) -> Option<InventoryLevel> {
        let now = Moment::from(event.recorded_at());
        let mut level = current.unwrap_or_else(|| InventoryLevel::nothing(event.id().clone(), now));
        match event.body() {
            InventoryEvent::InventoryUpdated { change, .. } => {
                level.on_hand = level.on_hand.saturating_add_signed(*change);
            }
            InventoryEvent::StockReserved { quantity, .. } => {
                level.reserved = level.reserved.saturating_add(quantity.get().into());
                level.reservations += 1;
            }
            InventoryEvent::StockReleased { quantity, .. } => level.settle(quantity.get()),
            InventoryEvent::StockCommitted { quantity, .. } => {
                level.settle(quantity.get());
                level.on_hand = level.on_hand.saturating_sub(quantity.get().into());
            }
        }
        level.available = level.on_hand.saturating_sub(level.reserved);
        level.low_stock = level.available < LOW_STOCK;
        level.updated_at = now;
        Some(level)
    }
}

impl InventoryLevel {
    fn nothing(sku: AggregateId, now: Moment) -> Self {
        Self { sku, on_hand: 0, reserved: 0, available: 0, reservations: 0, low_stock: true, updated_at: now }
    }

    /// Subtracts a reservation that ends.
    fn settle(&mut self, quantity: u32) {
        self.reserved = self.reserved.saturating_sub(quantity.into());
        self.reservations = self.reservations.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use dormouse_projections::Given;

    use super::*;
    use crate::commerce::stories::{at, committed, released, reserved, updated};

    fn level(second: i64, on_hand: u64, reserved: u64, reservations: u64) -> InventoryLevel {
        let (available, low_stock) = (on_hand - reserved, on_hand - reserved < 10);
        let sku = AggregateId::new("tea").unwrap();
        InventoryLevel { sku, on_hand, reserved, available, reservations, low_stock, updated_at: at(second).into() }
    }

    fn given_stock() -> Given<InventoryLevels> {
        Given::nothing().at(at(1)).when::<Inventory>("tea", [updated(20)]).then("tea", &level(1, 20, 0, 0))
    }

    #[test]
    fn stock_is_added_and_removed() {
        given_stock()
            .at(at(2))
            .when::<Inventory>("tea", [updated(-15)])
            .then("tea", &level(2, 5, 0, 0))
            .at(at(3))
            .when::<Inventory>("cup", [updated(1)])
            .then_keys(&["cup", "tea"])
            .then("tea", &level(2, 5, 0, 0));
    }

    #[test]
    fn reserved_stock_is_no_longer_available() {
        given_stock()
            .at(at(2))
            .when::<Inventory>("tea", [reserved("o-1", 4), reserved("o-2", 3)])
            .then("tea", &level(2, 20, 7, 2));
    }

    #[test]
    fn released_stock_is_available_again() {
        given_stock()
            .when::<Inventory>("tea", [reserved("o-1", 4), reserved("o-2", 3)])
            .at(at(2))
            .when::<Inventory>("tea", [released("o-1", 4)])
            .then("tea", &level(2, 20, 3, 1));
    }

    #[test]
    fn committed_stock_is_removed() {
        given_stock()
            .when::<Inventory>("tea", [reserved("o-1", 4), reserved("o-2", 3)])
            .at(at(2))
            .when::<Inventory>("tea", [committed("o-1", 4)])
            .then("tea", &level(2, 16, 3, 1));
    }

    #[test]
    fn stock_is_low_below_ten_available_pieces() {
        let low = |level: InventoryLevel, low_stock: bool| InventoryLevel { low_stock, ..level };
        given_stock()
            .when::<Inventory>("tea", [reserved("o-1", 10)])
            .then("tea", &low(level(1, 20, 10, 1), false))
            .when::<Inventory>("tea", [reserved("o-2", 1)])
            .then("tea", &low(level(1, 20, 11, 2), true))
            .when::<Inventory>("tea", [released("o-1", 10)])
            .then("tea", &low(level(1, 20, 1, 1), false))
            .when::<Inventory>("tea", [updated(-19)])
            .then("tea", &low(level(1, 1, 1, 1), true));
    }
}

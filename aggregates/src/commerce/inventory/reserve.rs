//! `ReserveStock`: reserves pieces for an order, once, and never more than are available.

use dormouse_kernel::Context;

use super::{Inventory, InventoryEvent, InventoryRejection, StockLevel, pieces};
use crate::commerce::{OrderId, Quantity, limits};

impl Inventory {
    pub(super) fn reserve(
        &self,
        order: OrderId,
        quantity: Quantity,
        context: &mut Context<Self>,
    ) -> Result<StockLevel, InventoryRejection> {
        if self.reservations.contains_key(&order) {
            return Err(InventoryRejection::AlreadyReserved { order });
        }
        if pieces(quantity) > self.available() {
            return Err(self.insufficient(pieces(quantity)));
        }
        if self.reservations.len() >= limits::RESERVATIONS {
            return Err(InventoryRejection::TooManyReservations);
        }
        context.emit(InventoryEvent::StockReserved { order, quantity });
        Ok(StockLevel::of(self.on_hand, self.reserved + pieces(quantity)))
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::inventory::stories::{committed, order, quantity, released, reserve, reserved, updated};

    #[test]
    fn stock_is_reserved_for_an_order() {
        let after = Given::<Inventory>::events([updated(10)])
            .when(reserve("o-1", 4))
            .then([reserved("o-1", 4)])
            .and_replies(&StockLevel { on_hand: 10, reserved: 4, available: 6 });
        assert_eq!(after.state().reservations.get(&order("o-1")), Some(&quantity(4)));
        assert_eq!(after.state().available(), 6);
    }

    #[test]
    fn no_more_is_reserved_than_is_available() {
        let past = [updated(10), reserved("o-1", 4)];
        Given::<Inventory>::events(past.clone()).when(reserve("o-2", 6)).then([reserved("o-2", 6)]);
        Given::<Inventory>::events(past).when(reserve("o-2", 7)).then_rejected("insufficient-stock");
        Given::<Inventory>::nothing().when(reserve("o-1", 1)).then_rejected("insufficient-stock");
    }

    #[test]
    fn an_order_has_one_reservation_at_a_time() {
        let past = [updated(10), reserved("o-1", 4)];
        Given::<Inventory>::events(past.clone()).when(reserve("o-1", 1)).then_rejected("already-reserved");
        for settled in [released("o-1", 4), committed("o-1", 4)] {
            let past = past.iter().cloned().chain([settled]);
            Given::<Inventory>::events(past).when(reserve("o-1", 1)).then([reserved("o-1", 1)]);
        }
    }

    #[test]
    fn the_number_of_open_reservations_is_limited() {
        let mut past = vec![updated(1_000_000)];
        past.extend((0..limits::RESERVATIONS).map(|number| reserved(&format!("o-{number}"), 1)));
        Given::<Inventory>::events(past.clone()).when(reserve("late", 1)).then_rejected("too-many-reservations");
        past.push(released("o-7", 1));
        Given::<Inventory>::events(past).when(reserve("late", 1)).then([reserved("late", 1)]);
    }

    #[test]
    fn an_inventory_is_named_by_a_sku() {
        Given::<Inventory>::events([updated(10)])
            .with_id("red shoe")
            .when(reserve("o-1", 1))
            .then_rejected("invalid-sku");
    }
}

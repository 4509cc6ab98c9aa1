//! `ReserveLine`: reserves what a confirmed order needs, and tells the order.

use dormouse_kernel::Context;

use super::{Inventory, InventoryEvent, InventoryRejection, StockLevel, pieces};
use crate::commerce::{Order, OrderCommand, OrderId, Quantity, Sku, limits};

impl Inventory {
    pub(super) fn reserve_line(
        &self,
        sku: Sku,
        order: OrderId,
        quantity: Quantity,
        context: &mut Context<Self>,
    ) -> Result<StockLevel, InventoryRejection> {
        // An order asks once. So what is reserved for it already was reserved by hand.
        let by_hand = self.reservations.get(&order).copied();
        let held = by_hand.map_or(0, pieces);
        if pieces(quantity) > self.available().saturating_add(held) {
            return Err(self.insufficient(pieces(quantity)));
        }
        if by_hand.is_none() && self.reservations.len() >= limits::RESERVATIONS {
            return Err(InventoryRejection::TooManyReservations);
        }
        if by_hand != Some(quantity) {
            if let Some(quantity) = by_hand {
                context.emit(InventoryEvent::StockReleased { order: order.clone(), quantity });
            }
            context.emit(InventoryEvent::StockReserved { order: order.clone(), quantity });
        }
        context.send::<Order>(order.as_str(), OrderCommand::RecordLineReserved { sku });
        Ok(StockLevel::of(self.on_hand, self.reserved.saturating_sub(held) + pieces(quantity)))
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::commerce::InventoryCommand::ReserveLine;
    use crate::commerce::inventory::stories::{order, quantity, released, reserved, updated};

    fn given(past: impl IntoIterator<Item = InventoryEvent>) -> Given<Inventory> {
        Given::events(past).with_id("tea")
    }

    fn line(pieces: i64) -> crate::commerce::InventoryCommand {
        ReserveLine { order: order("o-1"), quantity: quantity(pieces) }
    }

    fn told() -> [Message; 1] {
        [Message::to::<Order>("o-1", OrderCommand::RecordLineReserved { sku: Sku::new("tea").unwrap() })]
    }

    #[test]
    fn the_order_is_told_that_its_stock_is_reserved() {
        given([updated(10), reserved("o-2", 4)])
            .when(line(6))
            .then([reserved("o-1", 6)])
            .then_sent(told())
            .and_replies(&StockLevel { on_hand: 10, reserved: 10, available: 0 });
    }

    #[test]
    fn stock_that_is_not_there_is_refused() {
        given([updated(10), reserved("o-2", 5)]).when(line(6)).then_rejected("insufficient-stock");
        given([]).when(line(1)).then_rejected("insufficient-stock");
    }

    #[test]
    fn a_reservation_by_hand_is_replaced_by_what_the_order_needs() {
        for (by_hand, needed) in [(2, 6), (8, 6), (10, 1), (1, 10)] {
            let after = given([updated(10), reserved("o-1", by_hand)])
                .when(line(needed))
                .then([released("o-1", by_hand), reserved("o-1", needed)])
                .then_sent(told());
            assert_eq!(after.state().reserved, needed as u64);
            assert_eq!(after.state().reservations.get(&order("o-1")), Some(&quantity(needed)));
        }
        given([updated(10), reserved("o-1", 6)]).when(line(6)).then([]).then_sent(told()).and_replies(&StockLevel {
            on_hand: 10,
            reserved: 6,
            available: 4,
        });
        given([updated(10), reserved("o-1", 6)]).when(line(11)).then_rejected("insufficient-stock");
    }

    #[test]
    fn the_number_of_open_reservations_is_limited() {
        let mut past = vec![updated(1_000_000)];
        past.extend((0..limits::RESERVATIONS).map(|number| reserved(&format!("o-{number}"), 1)));
        given(past.clone())
            .when(ReserveLine { order: order("late"), quantity: quantity(1) })
            .then_rejected("too-many-reservations");
        given(past).when(line(2)).then([released("o-1", 1), reserved("o-1", 2)]);
    }
}

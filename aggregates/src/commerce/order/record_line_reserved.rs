//! `RecordLineReserved`: an inventory has reserved what the order needs of its sku.

use dormouse_kernel::Context;

use super::{Order, OrderEvent, OrderRejection, OrderReply, Reservation};
use crate::commerce::{Inventory, InventoryCommand, OrderId, Sku};

impl Order {
    pub(super) fn record_line_reserved(
        &self,
        sku: Sku,
        context: &mut Context<Self>,
    ) -> Result<OrderReply, OrderRejection> {
        let status = self.created()?;
        let reservation = self.reservation.ok_or(OrderRejection::StockNotRequested)?;
        match reservation {
            Reservation::Pending if self.awaited.contains(&sku) => {
                context.emit(OrderEvent::LineReserved { sku });
                if self.awaited.len() == 1 {
                    context.emit(OrderEvent::StockReserved {});
                }
            }
            // The order was cancelled or rejected before the inventory answered.
            Reservation::Released if self.awaited.contains(&sku) => {
                let order = OrderId::from(context.id());
                context.send::<Inventory>(sku.as_str(), InventoryCommand::ReleaseStock { order });
            }
            _ => {}
        }
        Ok(OrderReply { status, total_cents: self.total_cents })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::OrderStatus;
    use crate::commerce::order::stories::{
        cancelled, cents, confirmed, confirmed_before_reservations, created, line, line_reserved, pending,
        record_reserved, rejected, release, reserved, shipped, sku,
    };

    #[test]
    fn an_order_is_reserved_when_each_sku_is() {
        let after = Given::<Order>::events(pending())
            .when(record_reserved("tea"))
            .then([line_reserved("tea")])
            .then_sent([])
            .and_replies(&OrderReply { status: OrderStatus::Confirmed, total_cents: cents(1900) });
        assert_eq!(after.state().reservation, Some(Reservation::Pending));
        assert!(after.state().awaited.iter().eq([&sku("cup")]));
        let after = Given::<Order>::events(pending().into_iter().chain([line_reserved("tea")]))
            .when(record_reserved("cup"))
            .then([line_reserved("cup"), OrderEvent::StockReserved {}])
            .then_sent([]);
        assert_eq!((after.state().reservation, after.state().awaited.len()), (Some(Reservation::Reserved), 0));
    }

    #[test]
    fn stock_that_is_reserved_too_late_is_released() {
        for past in [cancelled(), rejected()] {
            let after = Given::<Order>::events(past).when(record_reserved("cup")).then([]);
            after.then_sent([release("cup")]);
        }
    }

    #[test]
    fn an_answer_that_is_not_awaited_changes_nothing() {
        let nothing = |past: Vec<OrderEvent>, sku| {
            Given::<Order>::events(past).when(record_reserved(sku)).then([]).then_sent([]);
        };
        nothing(confirmed(), "pot");
        nothing(pending().into_iter().chain([line_reserved("tea")]).collect(), "tea");
        nothing(cancelled(), "pot");
        nothing(reserved(), "tea");
        nothing(shipped(), "tea");
    }

    #[test]
    fn an_order_that_asked_for_nothing_takes_no_answer() {
        Given::<Order>::nothing().when(record_reserved("tea")).then_rejected("order-not-created");
        for past in [vec![created([line("tea", 2, 350)])], confirmed_before_reservations()] {
            Given::<Order>::events(past).when(record_reserved("tea")).then_rejected("stock-not-requested");
        }
    }
}

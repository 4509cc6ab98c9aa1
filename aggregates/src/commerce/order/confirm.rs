//! `ConfirmOrder`: confirms an open order, once, and asks for its stock.

use dormouse_kernel::Context;

use super::{Order, OrderEvent, OrderRejection, OrderReply, OrderStatus, Reservation};

impl Order {
    pub(super) fn confirm(&self, context: &mut Context<Self>) -> Result<OrderReply, OrderRejection> {
        let status = self.created()?;
        if status != OrderStatus::Open {
            return Err(OrderRejection::NotOpen { status });
        }
        let was = self.summary();
        context.emit(OrderEvent::OrderConfirmed { total_cents: self.total_cents, was, reserves: true });
        self.tell_inventories(Reservation::Pending, 0, context)?;
        Ok(OrderReply { status: OrderStatus::Confirmed, total_cents: self.total_cents })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::OrderCommand::ConfirmOrder;
    use crate::commerce::order::stories::{
        cancelled, cents, confirmed, created, line, now_confirmed, rejected, reserve, reserved, shipped,
    };

    #[test]
    fn an_open_order_is_confirmed_with_its_total() {
        let after = Given::<Order>::events([created([line("tea", 2, 350)])])
            .when(ConfirmOrder)
            .then([now_confirmed(700)])
            .and_replies(&OrderReply { status: OrderStatus::Confirmed, total_cents: cents(700) });
        assert_eq!(after.state().status, Some(OrderStatus::Confirmed));
        assert_eq!(after.state().reservation, Some(Reservation::Pending));
    }

    #[test]
    fn each_inventory_is_asked_once_for_what_all_lines_need() {
        let lines = [line("tea", 2, 100), line("cup", 1, 100), line("tea", 3, 100)];
        let after = Given::<Order>::events([created(lines)])
            .when(ConfirmOrder)
            .then([now_confirmed(600)])
            .then_sent([reserve("cup", 1), reserve("tea", 5)]);
        assert_eq!(after.state().awaited.len(), 2);
    }

    #[test]
    fn an_order_that_needs_more_of_a_sku_than_can_be_reserved_is_not_confirmed() {
        let lines = |more| [line("tea", 1_000_000, 1), line("tea", more, 1)];
        Given::<Order>::events([created(lines(1))]).when(ConfirmOrder).then_rejected("too-many-pieces");
        let most = [line("tea", 1_000_000, 1), line("cup", 1_000_000, 1)];
        Given::<Order>::events([created(most)]).when(ConfirmOrder).then([now_confirmed(2_000_000)]);
    }

    #[test]
    fn an_order_is_confirmed_once_and_only_while_it_is_open() {
        Given::<Order>::nothing().when(ConfirmOrder).then_rejected("order-not-created");
        for past in [confirmed(), reserved(), shipped(), cancelled(), rejected()] {
            Given::<Order>::events(past).when(ConfirmOrder).then_rejected("order-not-open");
        }
    }
}

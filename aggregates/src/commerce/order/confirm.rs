//! `ConfirmOrder`: confirms an open order, once.

use dormouse_kernel::Context;

use super::{Order, OrderEvent, OrderRejection, OrderReply, OrderStatus};

impl Order {
    pub(super) fn confirm(&self, context: &mut Context<Self>) -> Result<OrderReply, OrderRejection> {
        let status = self.created()?;
        if status != OrderStatus::Open {
            return Err(OrderRejection::NotOpen { status });
        }
        context.emit(OrderEvent::OrderConfirmed { total_cents: self.total_cents, was: self.summary() });
        Ok(OrderReply { status: OrderStatus::Confirmed, total_cents: self.total_cents })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::OrderCommand::ConfirmOrder;
    use crate::commerce::order::stories::{cancelled, cents, confirmed, created, line, shipped, was};

    #[test]
    fn an_open_order_is_confirmed_with_its_total() {
        let after = Given::<Order>::events([created([line("tea", 2, 350)])])
            .when(ConfirmOrder)
            .then([OrderEvent::OrderConfirmed { total_cents: cents(700), was: was(OrderStatus::Open) }])
            .and_replies(&OrderReply { status: OrderStatus::Confirmed, total_cents: cents(700) });
        assert_eq!(after.state().status, Some(OrderStatus::Confirmed));
    }

    #[test]
    fn an_order_is_confirmed_once_and_only_while_it_is_open() {
        Given::<Order>::nothing().when(ConfirmOrder).then_rejected("order-not-created");
        for past in [confirmed(), shipped(), cancelled()] {
            Given::<Order>::events(past).when(ConfirmOrder).then_rejected("order-not-open");
        }
    }
}

//! `ShipOrder`: ships a confirmed order.

use dormouse_kernel::Context;

use super::{Order, OrderEvent, OrderRejection, OrderReply, OrderStatus};
use crate::commerce::Text;

impl Order {
    pub(super) fn ship(&self, tracking: Text, context: &mut Context<Self>) -> Result<OrderReply, OrderRejection> {
        let status = self.created()?;
        if status != OrderStatus::Confirmed {
            return Err(OrderRejection::NotConfirmed { status });
        }
        context.emit(OrderEvent::OrderShipped { tracking, was: self.summary() });
        Ok(OrderReply { status: OrderStatus::Shipped, total_cents: self.total_cents })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::OrderCommand::ShipOrder;
    use crate::commerce::order::stories::{cancelled, cents, confirmed, created, line, shipped, text, was};

    #[test]
    fn a_confirmed_order_is_shipped() {
        let after = Given::<Order>::events(confirmed())
            .when(ShipOrder { tracking: text("1Z999") })
            .then([OrderEvent::OrderShipped { tracking: text("1Z999"), was: was(OrderStatus::Confirmed) }])
            .and_replies(&OrderReply { status: OrderStatus::Shipped, total_cents: cents(700) });
        assert_eq!(after.state().status, Some(OrderStatus::Shipped));
        assert_eq!(after.state().tracking, Some(text("1Z999")));
    }

    #[test]
    fn an_order_that_is_not_confirmed_cannot_be_shipped() {
        Given::<Order>::nothing().when(ShipOrder { tracking: text("1Z999") }).then_rejected("order-not-created");
        for past in [vec![created([line("tea", 2, 350)])], shipped(), cancelled()] {
            Given::<Order>::events(past)
                .when(ShipOrder { tracking: text("1Z999") })
                .then_rejected("order-not-confirmed");
        }
    }
}

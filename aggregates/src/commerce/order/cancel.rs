//! `CancelOrder`: cancels an order that is not shipped yet.

use dormouse_kernel::Context;

use super::{Order, OrderEvent, OrderRejection, OrderReply, OrderStatus, Reservation};
use crate::commerce::Text;

impl Order {
    pub(super) fn cancel(&self, reason: Text, context: &mut Context<Self>) -> Result<OrderReply, OrderRejection> {
        match self.created()? {
            OrderStatus::Open | OrderStatus::Confirmed => {}
            OrderStatus::Shipped => return Err(OrderRejection::AlreadyShipped),
            OrderStatus::Cancelled => return Err(OrderRejection::AlreadyCancelled),
            OrderStatus::Rejected => return Err(OrderRejection::AlreadyRejected),
        }
        context.emit(OrderEvent::OrderCancelled { reason, was: self.summary() });
        if self.reservation.is_some() {
            self.tell_inventories(Reservation::Released, 0, context)?;
        }
        Ok(OrderReply { status: OrderStatus::Cancelled, total_cents: self.total_cents })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::OrderCommand::CancelOrder;
    use crate::commerce::order::stories::{
        cancelled, cents, confirmed, confirmed_before_reservations, created, line, line_reserved, pending, rejected,
        release, reserved, shipped, text, was,
    };

    #[test]
    fn an_order_is_cancelled_while_it_is_open_or_confirmed() {
        let open = vec![created([line("tea", 2, 350)])];
        for (past, status) in [(open, OrderStatus::Open), (confirmed(), OrderStatus::Confirmed)] {
            let after = Given::<Order>::events(past)
                .when(CancelOrder { reason: text("too late") })
                .then([OrderEvent::OrderCancelled { reason: text("too late"), was: was(status) }])
                .and_replies(&OrderReply { status: OrderStatus::Cancelled, total_cents: cents(700) });
            assert_eq!(after.state().status, Some(OrderStatus::Cancelled));
            assert_eq!(after.state().cancelled_because, Some(text("too late")));
        }
    }

    #[test]
    fn a_cancelled_order_releases_what_is_reserved() {
        let cancel =
            |past: Vec<OrderEvent>| Given::<Order>::events(past).when(CancelOrder { reason: text("too late") });
        cancel(reserved()).then_sent([release("tea")]);
        cancel(pending()).then_sent([]);
        let after = cancel([pending(), vec![line_reserved("cup")]].concat()).then_sent([release("cup")]);
        assert_eq!(after.state().reservation, Some(Reservation::Released));
    }

    #[test]
    fn an_order_that_asked_for_nothing_releases_nothing() {
        for past in [vec![created([line("tea", 2, 350)])], confirmed_before_reservations()] {
            let after = Given::<Order>::events(past).when(CancelOrder { reason: text("too late") }).then_sent([]);
            assert_eq!(after.state().reservation, None);
        }
    }

    #[test]
    fn an_order_that_is_shipped_cancelled_rejected_or_not_created_cannot_be_cancelled() {
        let refused = |past: Vec<OrderEvent>, code| {
            Given::<Order>::events(past).when(CancelOrder { reason: text("too late") }).then_rejected(code);
        };
        refused(vec![], "order-not-created");
        refused(shipped(), "order-already-shipped");
        refused(cancelled(), "order-already-cancelled");
        refused(rejected(), "order-already-rejected");
    }
}

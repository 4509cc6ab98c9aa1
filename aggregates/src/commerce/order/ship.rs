//! `ShipOrder`: ships a confirmed order whose stock is reserved.

use dormouse_kernel::Context;

use super::{Order, OrderEvent, OrderRejection, OrderReply, OrderStatus, Reservation};
use crate::commerce::Text;

impl Order {
    pub(super) fn ship(&self, tracking: Text, context: &mut Context<Self>) -> Result<OrderReply, OrderRejection> {
        let status = self.created()?;
        if status != OrderStatus::Confirmed {
            return Err(OrderRejection::NotConfirmed { status });
        }
        if self.reservation == Some(Reservation::Pending) {
            return Err(OrderRejection::ReservationPending { skus: self.awaited.len() });
        }
        context.emit(OrderEvent::OrderShipped { tracking, was: self.summary() });
        // An order that an older version confirmed has no reservation. Its stock is taken out by hand.
        if self.reservation.is_some() {
            self.tell_inventories(Reservation::Committed, 0, context)?;
        }
        Ok(OrderReply { status: OrderStatus::Shipped, total_cents: self.total_cents })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::OrderCommand::ShipOrder;
    use crate::commerce::order::stories::{
        cancelled, cents, commit, confirmed, confirmed_before_reservations, created, line, line_reserved, pending,
        rejected, reserved, shipped, text, was,
    };

    #[test]
    fn an_order_is_shipped_with_its_reserved_stock() {
        let after = Given::<Order>::events(reserved())
            .when(ShipOrder { tracking: text("1Z999") })
            .then([OrderEvent::OrderShipped { tracking: text("1Z999"), was: was(OrderStatus::Confirmed) }])
            .then_sent([commit("tea")])
            .and_replies(&OrderReply { status: OrderStatus::Shipped, total_cents: cents(700) });
        assert_eq!(after.state().status, Some(OrderStatus::Shipped));
        assert_eq!(after.state().tracking, Some(text("1Z999")));
        assert_eq!(after.state().reservation, Some(Reservation::Committed));
    }

    #[test]
    fn an_order_is_not_shipped_before_all_its_stock_is_reserved() {
        for past in [confirmed(), pending(), [pending(), vec![line_reserved("tea")]].concat()] {
            Given::<Order>::events(past)
                .when(ShipOrder { tracking: text("1Z999") })
                .then_rejected("reservation-pending");
        }
    }

    #[test]
    fn an_order_that_an_older_version_confirmed_is_shipped_without_a_reservation() {
        let after = Given::<Order>::events(confirmed_before_reservations())
            .when(ShipOrder { tracking: text("1Z999") })
            .then([OrderEvent::OrderShipped { tracking: text("1Z999"), was: was(OrderStatus::Confirmed) }])
            .then_sent([]);
        assert_eq!(after.state().reservation, None);
    }

    #[test]
    fn an_order_that_is_not_confirmed_cannot_be_shipped() {
        Given::<Order>::nothing().when(ShipOrder { tracking: text("1Z999") }).then_rejected("order-not-created");
        for past in [vec![created([line("tea", 2, 350)])], shipped(), cancelled(), rejected()] {
            Given::<Order>::events(past)
                .when(ShipOrder { tracking: text("1Z999") })
                .then_rejected("order-not-confirmed");
        }
    }
}

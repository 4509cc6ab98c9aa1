//! `RecordLineRefused`: an inventory has refused to reserve what the order needs of its sku.

use dormouse_kernel::Context;

use super::{Order, OrderEvent, OrderRejection, OrderReply, OrderStatus, Reservation};
use crate::commerce::Sku;

impl Order {
    pub(super) fn record_line_refused(
        &self,
        sku: Sku,
        context: &mut Context<Self>,
    ) -> Result<OrderReply, OrderRejection> {
        let status = self.created()?;
        let code = context.refusal().ok_or(OrderRejection::NotRefused)?.code.clone();
        let reservation = self.reservation.ok_or(OrderRejection::StockNotRequested)?;
        // The first refusal rejects the order. After it, or after a cancellation, another one changes nothing.
        if reservation != Reservation::Pending || !self.awaited.contains(&sku) {
            return Ok(OrderReply { status, total_cents: self.total_cents });
        }
        context.emit(OrderEvent::OrderRejected { sku, code, was: self.summary() });
        self.tell_inventories(Reservation::Released, 0, context)?;
        Ok(OrderReply { status: OrderStatus::Rejected, total_cents: self.total_cents })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::Shortage;
    use crate::commerce::order::stories::{
        cancelled, cents, confirmed_before_reservations, created, line, line_reserved, pending, record_refused,
        rejected, release, reserved, shipped, sku, was_worth,
    };

    fn given(past: impl IntoIterator<Item = OrderEvent>) -> Given<Order> {
        Given::events(past).after_refusal("insufficient-stock")
    }

    #[test]
    fn an_order_is_rejected_if_one_sku_is_refused() {
        let shortage = Shortage { sku: sku("cup"), code: "insufficient-stock".to_owned() };
        let was = was_worth(OrderStatus::Confirmed, 1900);
        let after = given(pending())
            .when(record_refused("cup"))
            .then([OrderEvent::OrderRejected { sku: sku("cup"), code: shortage.code.clone(), was }])
            .then_sent([])
            .and_replies(&OrderReply { status: OrderStatus::Rejected, total_cents: cents(1900) });
        assert_eq!(after.state().status, Some(OrderStatus::Rejected));
        assert_eq!(after.state().reservation, Some(Reservation::Released));
        assert_eq!(after.state().rejected_because, Some(shortage));
    }

    #[test]
    fn a_rejected_order_releases_what_is_reserved() {
        let after = given(pending().into_iter().chain([line_reserved("tea")])).when(record_refused("cup"));
        after.then_sent([release("tea")]);
    }

    #[test]
    fn a_refusal_after_the_end_changes_nothing() {
        for past in [cancelled(), rejected(), reserved(), shipped()] {
            given(past).when(record_refused("tea")).then([]).then_sent([]);
        }
        given(pending()).when(record_refused("pot")).then([]).then_sent([]);
    }

    #[test]
    fn an_order_that_asked_for_nothing_is_not_refused_anything() {
        given([]).when(record_refused("tea")).then_rejected("order-not-created");
        for past in [vec![created([line("tea", 2, 350)])], confirmed_before_reservations()] {
            given(past).when(record_refused("tea")).then_rejected("stock-not-requested");
        }
    }

    #[test]
    fn a_refusal_is_not_taken_from_a_client() {
        Given::<Order>::events(pending()).when(record_refused("tea")).then_rejected("not-refused");
    }
}

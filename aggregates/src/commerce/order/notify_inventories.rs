//! `NotifyInventories`: sends the messages to the inventories that were too many for one command.

use dormouse_kernel::Context;

use super::{Order, OrderRejection, OrderReply};

impl Order {
    pub(super) fn notify_inventories(
        &self,
        from: usize,
        context: &mut Context<Self>,
    ) -> Result<OrderReply, OrderRejection> {
        let status = self.created()?;
        let reservation = self.reservation.ok_or(OrderRejection::StockNotRequested)?;
        self.tell_inventories(reservation, from, context)?;
        Ok(OrderReply { status, total_cents: self.total_cents })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::commerce::OrderCommand::{CancelOrder, ConfirmOrder, NotifyInventories, ShipOrder};
    use crate::commerce::order::stories::{
        commit, confirmed_before_reservations, created, line, line_reserved, now_confirmed, release, reserve, text,
    };
    use crate::commerce::{Line, OrderEvent};

    const SKUS: usize = 500;

    fn name(number: usize) -> String {
        format!("sku-{number:03}")
    }

    fn opened() -> Vec<OrderEvent> {
        vec![created((0..SKUS).map(|number| line(&name(number), 1, 1)).collect::<Vec<Line>>())]
    }

    fn reserved(skus: usize) -> Vec<OrderEvent> {
        let mut past = opened();
        past.push(now_confirmed(SKUS as i64));
        past.extend((0..skus).map(|number| line_reserved(&name(number))));
        past.extend((skus == SKUS).then_some(OrderEvent::StockReserved {}));
        past
    }

    fn continued() -> Message {
        Message::to::<Order>("test", NotifyInventories { from: 255 })
    }

    /// The messages to these inventories.
    fn to(inventories: std::ops::Range<usize>, message: fn(&str) -> Message) -> impl Iterator<Item = Message> {
        inventories.map(move |number| message(&name(number)))
    }

    #[test]
    fn an_order_of_many_skus_asks_for_them_in_two_steps() {
        let one = |sku: &str| reserve(sku, 1);
        Given::<Order>::events(opened()).when(ConfirmOrder).then_sent(to(0..255, one).chain([continued()]));
        Given::<Order>::events(reserved(3))
            .when(NotifyInventories { from: 255 })
            .then([])
            .then_sent(to(255..SKUS, one));
    }

    #[test]
    fn an_order_of_many_skus_releases_them_in_two_steps() {
        let cancel = || CancelOrder { reason: text("too late") };
        Given::<Order>::events(reserved(SKUS)).when(cancel()).then_sent(to(0..255, release).chain([continued()]));
        // Only some are reserved.
        Given::<Order>::events(reserved(300)).when(cancel()).then_sent(to(0..255, release).chain([continued()]));
        let cancelled = OrderEvent::OrderCancelled { reason: text("too late"), was: None };
        let past = reserved(300).into_iter().chain([cancelled]);
        Given::<Order>::events(past).when(NotifyInventories { from: 255 }).then([]).then_sent(to(255..300, release));
    }

    #[test]
    fn an_order_of_many_skus_commits_them_in_two_steps() {
        let ship = ShipOrder { tracking: text("1Z999") };
        Given::<Order>::events(reserved(SKUS)).when(ship).then_sent(to(0..255, commit).chain([continued()]));
        let shipped = OrderEvent::OrderShipped { tracking: text("1Z999"), was: None };
        let past = reserved(SKUS).into_iter().chain([shipped]);
        Given::<Order>::events(past).when(NotifyInventories { from: 255 }).then([]).then_sent(to(255..SKUS, commit));
    }

    #[test]
    fn nothing_is_sent_where_nothing_is_left_to_say() {
        for from in [255, SKUS, usize::MAX] {
            Given::<Order>::events(reserved(SKUS)).when(NotifyInventories { from }).then([]).then_sent([]);
        }
        Given::<Order>::nothing().when(NotifyInventories { from: 0 }).then_rejected("order-not-created");
        Given::<Order>::events(confirmed_before_reservations())
            .when(NotifyInventories { from: 0 })
            .then_rejected("stock-not-requested");
    }
}

//! `AddLine`: adds a line while the order is open.

use dormouse_kernel::Context;

use super::{Line, Order, OrderEvent, OrderRejection, OrderReply, OrderStatus};
use crate::commerce::limits;

impl Order {
    pub(super) fn add_line(&self, line: Line, context: &mut Context<Self>) -> Result<OrderReply, OrderRejection> {
        let status = self.created()?;
        if status != OrderStatus::Open {
            return Err(OrderRejection::NotOpen { status });
        }
        if self.lines.len() >= limits::ORDER_LINES {
            return Err(OrderRejection::TooManyLines { lines: self.lines.len() + 1 });
        }
        let total_cents = self.total_with(std::slice::from_ref(&line))?;
        let Line { sku, quantity, unit_price_cents } = line;
        context.emit(OrderEvent::LineAdded { sku, quantity, unit_price_cents });
        Ok(OrderReply { status, total_cents })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::order::stories::{
        add_line, cancelled, cents, confirmed, created, line, line_added, rejected, shipped, steep_line,
    };
    use crate::commerce::{NewLine, Quantity};

    #[test]
    fn an_open_order_takes_another_line() {
        let after = Given::<Order>::events([created([line("tea", 2, 350)])])
            .when(add_line("cup", 3, 100))
            .then([line_added("cup", 3, 100)])
            .and_replies(&OrderReply { status: OrderStatus::Open, total_cents: cents(1000) });
        assert_eq!(after.state().lines, [line("tea", 2, 350), line("cup", 3, 100)]);
        assert_eq!(after.state().total_cents, cents(1000));
    }

    #[test]
    fn a_sku_may_have_several_lines() {
        let after = Given::<Order>::events([created([line("tea", 2, 350)])])
            .when(add_line("tea", 1, 300))
            .then([line_added("tea", 1, 300)]);
        assert_eq!(after.state().lines.len(), 2);
    }

    #[test]
    fn a_line_for_an_order_that_is_not_open_is_refused() {
        Given::<Order>::nothing().when(add_line("tea", 1, 1)).then_rejected("order-not-created");
        for past in [confirmed(), shipped(), cancelled(), rejected()] {
            Given::<Order>::events(past).when(add_line("tea", 1, 1)).then_rejected("order-not-open");
        }
    }

    #[test]
    fn the_501st_line_is_refused() {
        let lines = |count| (0..count).map(|_| line("tea", 1, 1)).collect::<Vec<_>>();
        Given::<Order>::events([created(lines(499))]).when(add_line("tea", 1, 1)).then([line_added("tea", 1, 1)]);
        Given::<Order>::events([created(lines(500))]).when(add_line("tea", 1, 1)).then_rejected("too-many-lines");
    }

    #[test]
    fn a_line_that_makes_the_total_too_large_is_refused() {
        let all = Line::from(NewLine { quantity: Quantity::MIN, ..steep_line() });
        Given::<Order>::events([created([all.clone()])]).when(add_line("tea", 1, 1)).then_rejected("total-too-large");
        Given::<Order>::events([created([all])]).when(add_line("tea", 1, 0)).then([line_added("tea", 1, 0)]);
    }
}

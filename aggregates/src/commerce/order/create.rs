//! `CreateOrder`: creates an order once, with at least one line.

use dormouse_kernel::Context;

use super::{Line, NewLine, Order, OrderEvent, OrderRejection, OrderReply, OrderStatus};
use crate::commerce::{Email, Text, limits};

impl Order {
    pub(super) fn create(
        &self,
        customer: Text,
        email: Email,
        lines: Vec<NewLine>,
        context: &mut Context<Self>,
    ) -> Result<OrderReply, OrderRejection> {
        if self.status.is_some() {
            return Err(OrderRejection::AlreadyCreated);
        }
        if lines.is_empty() {
            return Err(OrderRejection::NoLines);
        }
        if lines.len() > limits::ORDER_LINES {
            return Err(OrderRejection::TooManyLines { lines: lines.len() });
        }
        let lines: Vec<Line> = lines.into_iter().map(Line::from).collect();
        let total_cents = self.total_with(&lines)?;
        let owner = context.subject().map(str::to_owned);
        context.emit(OrderEvent::OrderCreated { customer, email: email.into(), lines, owner });
        Ok(OrderReply { status: OrderStatus::Open, total_cents })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::order::stories::{
        cancelled, cents, confirmed, create, created, line, new_line, rejected, shipped, steep_line,
    };
    use crate::commerce::{Cents, Quantity};

    #[test]
    fn an_order_begins_open_with_its_lines() {
        let after = Given::<Order>::nothing()
            .when(create([new_line("tea", 2, 350), new_line("cup", 1, 1200)]))
            .then([created([line("tea", 2, 350), line("cup", 1, 1200)])])
            .and_replies(&OrderReply { status: OrderStatus::Open, total_cents: cents(1900) });
        let order = after.state();
        assert_eq!(order.status, Some(OrderStatus::Open));
        assert_eq!(order.customer.as_ref().map(Text::as_str), Some("Ada"));
        assert_eq!(order.email, Some(Email::new("ada@example.org").unwrap().into()));
        assert_eq!(order.lines, [line("tea", 2, 350), line("cup", 1, 1200)]);
        assert_eq!(order.total_cents, cents(1900));
    }

    #[test]
    fn an_order_is_created_once_whatever_its_status_is() {
        for past in [vec![created([line("tea", 1, 1)])], confirmed(), shipped(), cancelled(), rejected()] {
            Given::<Order>::events(past).when(create([new_line("tea", 1, 1)])).then_rejected("order-already-created");
        }
    }

    #[test]
    fn an_order_without_lines_is_refused() {
        Given::<Order>::nothing().when(create([])).then_rejected("order-without-lines");
    }

    #[test]
    fn an_order_may_have_500_lines_and_not_one_more() {
        let lines = |count| (0..count).map(|_| new_line("tea", 1, 1)).collect::<Vec<_>>();
        let after = Given::<Order>::nothing().when(create(lines(500)));
        assert_eq!(after.state().lines.len(), 500);
        Given::<Order>::nothing().when(create(lines(501))).then_rejected("too-many-lines");
    }

    #[test]
    fn a_price_or_total_above_the_maximum_is_refused() {
        let all_there_is = NewLine { quantity: Quantity::MIN, ..steep_line() };
        Given::<Order>::nothing()
            .when(create([all_there_is.clone()]))
            .and_replies(&OrderReply { status: OrderStatus::Open, total_cents: Cents::MAX });
        let and_one_more = [all_there_is, new_line("tea", 1, 1)];
        Given::<Order>::nothing().when(create(and_one_more)).then_rejected("total-too-large");
        Given::<Order>::nothing().when(create([steep_line()])).then_rejected("total-too-large");
    }

    #[test]
    fn a_line_may_cost_nothing() {
        Given::<Order>::nothing()
            .when(create([new_line("sample", 1, 0)]))
            .and_replies(&OrderReply { status: OrderStatus::Open, total_cents: cents(0) });
    }
}

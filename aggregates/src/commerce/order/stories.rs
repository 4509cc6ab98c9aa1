//! Commands, events and values for the tests of the commands: Ada orders two packets of tea.

use super::{Line, NewLine, OrderCommand, OrderEvent, OrderStatus, OrderSummary};
use crate::commerce::{Cents, Email, Quantity, Sku, Text};

pub(super) fn create(lines: impl Into<Vec<NewLine>>) -> OrderCommand {
    OrderCommand::CreateOrder { customer: text("Ada"), email: email(), lines: lines.into() }
}

pub(super) fn add_line(sku: &str, quantity: i64, unit_price_cents: i64) -> OrderCommand {
    let Line { sku, quantity, unit_price_cents } = line(sku, quantity, unit_price_cents);
    OrderCommand::AddLine { sku, quantity, unit_price_cents }
}

pub(super) fn created(lines: impl Into<Vec<Line>>) -> OrderEvent {
    OrderEvent::OrderCreated { customer: text("Ada"), email: email(), lines: lines.into() }
}

pub(super) fn line_added(sku: &str, quantity: i64, unit_price_cents: i64) -> OrderEvent {
    let Line { sku, quantity, unit_price_cents } = line(sku, quantity, unit_price_cents);
    OrderEvent::LineAdded { sku, quantity, unit_price_cents }
}

pub(super) fn confirmed() -> Vec<OrderEvent> {
    let agreed = OrderEvent::OrderConfirmed { total_cents: cents(700), was: was(OrderStatus::Open) };
    vec![created([line("tea", 2, 350)]), agreed]
}

pub(super) fn shipped() -> Vec<OrderEvent> {
    let shipped = OrderEvent::OrderShipped { tracking: text("1Z999"), was: was(OrderStatus::Confirmed) };
    [confirmed(), vec![shipped]].concat()
}

pub(super) fn cancelled() -> Vec<OrderEvent> {
    let cancelled = OrderEvent::OrderCancelled { reason: text("too late"), was: was(OrderStatus::Confirmed) };
    [confirmed(), vec![cancelled]].concat()
}

/// Ada's order of tea when it had this status.
pub(super) fn was(status: OrderStatus) -> Option<OrderSummary> {
    Some(OrderSummary { customer: text("Ada"), status, total_cents: cents(700) })
}

pub(super) fn new_line(sku: &str, quantity: i64, unit_price_cents: i64) -> NewLine {
    let Line { sku, quantity, unit_price_cents } = line(sku, quantity, unit_price_cents);
    NewLine { sku, quantity, unit_price_cents }
}

pub(super) fn line(sku: &str, quantity: i64, unit_price_cents: i64) -> Line {
    Line {
        sku: Sku::new(sku).unwrap(),
        quantity: Quantity::new(quantity).unwrap(),
        unit_price_cents: cents(unit_price_cents),
    }
}

/// Two pieces that each cost the maximum.
pub(super) fn steep_line() -> NewLine {
    NewLine { unit_price_cents: Cents::MAX, ..new_line("palace", 2, 0) }
}

pub(super) fn cents(number: i64) -> Cents {
    Cents::new(number).unwrap()
}

pub(super) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn email() -> Email {
    Email::new("ada@example.org").unwrap()
}

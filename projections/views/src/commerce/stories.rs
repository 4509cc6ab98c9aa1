//! Events and values for the tests of the views: Ada orders tea.

use dormouse_aggregates::commerce::{
    Cents, Email, InventoryEvent, Line, OrderEvent, OrderId, OrderStatus, OrderSummary, Quantity, Sku, Text,
};
use dormouse_kernel::Timestamp;

/// A time, in seconds after the first one.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

pub(super) fn created(lines: impl Into<Vec<Line>>) -> OrderEvent {
    created_by("Ada", lines)
}

pub(super) fn created_by(customer: &str, lines: impl Into<Vec<Line>>) -> OrderEvent {
    OrderEvent::OrderCreated { customer: text(customer), email: email().into(), lines: lines.into(), owner: None }
}

pub(super) fn line_added(Line { sku, quantity, unit_price_cents }: Line) -> OrderEvent {
    OrderEvent::LineAdded { sku, quantity, unit_price_cents }
}

pub(super) fn confirmed(total_cents: i64) -> OrderEvent {
    let was = was(OrderStatus::Open, total_cents);
    OrderEvent::OrderConfirmed { total_cents: cents(total_cents), was, reserves: true }
}

/// As a version wrote it in which orders did not reserve their stock.
pub(super) fn confirmed_before_reservations(total_cents: i64) -> OrderEvent {
    let was = was(OrderStatus::Open, total_cents);
    OrderEvent::OrderConfirmed { total_cents: cents(total_cents), was, reserves: false }
}

pub(super) fn line_reserved() -> OrderEvent {
    OrderEvent::LineReserved { sku: sku("tea") }
}

pub(super) fn stock_reserved() -> OrderEvent {
    OrderEvent::StockReserved {}
}

pub(super) fn rejected(total_cents: i64) -> OrderEvent {
    let (code, was) = ("insufficient-stock".to_owned(), was(OrderStatus::Confirmed, total_cents));
    OrderEvent::OrderRejected { sku: sku("tea"), code, was }
}

pub(super) fn shipped(total_cents: i64) -> OrderEvent {
    OrderEvent::OrderShipped { tracking: text("1Z999"), was: was(OrderStatus::Confirmed, total_cents) }
}

pub(super) fn cancelled(was: Option<OrderSummary>) -> OrderEvent {
    OrderEvent::OrderCancelled { reason: text("too late"), was }
}

pub(super) fn was(status: OrderStatus, total_cents: i64) -> Option<OrderSummary> {
    was_of("Ada", status, total_cents)
}

pub(super) fn was_of(customer: &str, status: OrderStatus, total_cents: i64) -> Option<OrderSummary> {
    Some(OrderSummary { customer: text(customer), status, total_cents: cents(total_cents) })
}

pub(super) fn updated(change: i64) -> InventoryEvent {
    InventoryEvent::InventoryUpdated { change, reason: text("counted") }
}

pub(super) fn reserved(id: &str, pieces: i64) -> InventoryEvent {
    InventoryEvent::StockReserved { order: order(id), quantity: quantity(pieces) }
}

pub(super) fn released(id: &str, pieces: i64) -> InventoryEvent {
    InventoryEvent::StockReleased { order: order(id), quantity: quantity(pieces) }
}

pub(super) fn committed(id: &str, pieces: i64) -> InventoryEvent {
    InventoryEvent::StockCommitted { order: order(id), quantity: quantity(pieces) }
}

pub(super) fn line(sku: &str, pieces: i64, unit_price_cents: i64) -> Line {
    Line { sku: self::sku(sku), quantity: quantity(pieces), unit_price_cents: cents(unit_price_cents) }
}

pub(super) fn sku(name: &str) -> Sku {
    Sku::new(name).unwrap()
}

pub(super) fn cents(number: i64) -> Cents {
    Cents::new(number).unwrap()
}

pub(super) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub(super) fn email() -> Email {
    Email::new("ada@example.org").unwrap()
}

fn order(id: &str) -> OrderId {
    OrderId::new(id).unwrap()
}

fn quantity(pieces: i64) -> Quantity {
    Quantity::new(pieces).unwrap()
}

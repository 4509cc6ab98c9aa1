//! Commands, events and values for the tests of the commands: Ada orders two packets of tea.

use dormouse_kernel::Message;

use super::{Line, NewLine, OrderCommand, OrderEvent, OrderStatus, OrderSummary};
use crate::commerce::{Cents, Email, Inventory, InventoryCommand, OrderId, Quantity, Sku, Text};

pub(super) fn create(lines: impl Into<Vec<NewLine>>) -> OrderCommand {
    OrderCommand::CreateOrder { customer: text("Ada"), email: email(), lines: lines.into() }
}

pub(super) fn add_line(sku: &str, quantity: i64, unit_price_cents: i64) -> OrderCommand {
    let Line { sku, quantity, unit_price_cents } = line(sku, quantity, unit_price_cents);
    OrderCommand::AddLine { sku, quantity, unit_price_cents }
}

pub(super) fn created(lines: impl Into<Vec<Line>>) -> OrderEvent {
    OrderEvent::OrderCreated { customer: text("Ada"), email: email().into(), lines: lines.into(), owner: None }
}

pub(super) fn line_added(sku: &str, quantity: i64, unit_price_cents: i64) -> OrderEvent {
    let Line { sku, quantity, unit_price_cents } = line(sku, quantity, unit_price_cents);
    OrderEvent::LineAdded { sku, quantity, unit_price_cents }
}

pub(super) fn record_reserved(name: &str) -> OrderCommand {
    OrderCommand::RecordLineReserved { sku: sku(name) }
}

pub(super) fn record_refused(name: &str) -> OrderCommand {
    OrderCommand::RecordLineRefused { sku: sku(name) }
}

/// The event of an open order that costs this much.
pub(super) fn now_confirmed(total: i64) -> OrderEvent {
    OrderEvent::OrderConfirmed { total_cents: cents(total), was: was_worth(OrderStatus::Open, total), reserves: true }
}

pub(super) fn line_reserved(name: &str) -> OrderEvent {
    OrderEvent::LineReserved { sku: sku(name) }
}

/// Confirmed, with the stock of tea requested.
pub(super) fn confirmed() -> Vec<OrderEvent> {
    vec![created([line("tea", 2, 350)]), now_confirmed(700)]
}

/// Confirmed by a version in which orders did not reserve their stock.
pub(super) fn confirmed_before_reservations() -> Vec<OrderEvent> {
    let agreed = OrderEvent::OrderConfirmed { total_cents: cents(700), was: was(OrderStatus::Open), reserves: false };
    vec![created([line("tea", 2, 350)]), agreed]
}

/// Another order, of tea and a cup, with the stock of both requested.
pub(super) fn pending() -> Vec<OrderEvent> {
    vec![created([line("tea", 2, 350), line("cup", 1, 1200)]), now_confirmed(1900)]
}

pub(super) fn reserved() -> Vec<OrderEvent> {
    [confirmed(), vec![line_reserved("tea"), OrderEvent::StockReserved {}]].concat()
}

pub(super) fn shipped() -> Vec<OrderEvent> {
    let shipped = OrderEvent::OrderShipped { tracking: text("1Z999"), was: was(OrderStatus::Confirmed) };
    [reserved(), vec![shipped]].concat()
}

/// The order of tea and a cup, cancelled while tea was reserved and the cup was not.
pub(super) fn cancelled() -> Vec<OrderEvent> {
    let was = was_worth(OrderStatus::Confirmed, 1900);
    [pending(), vec![line_reserved("tea"), OrderEvent::OrderCancelled { reason: text("too late"), was }]].concat()
}

/// The order of tea and a cup, rejected because there is no tea.
pub(super) fn rejected() -> Vec<OrderEvent> {
    let (code, was) = ("insufficient-stock".to_owned(), was_worth(OrderStatus::Confirmed, 1900));
    [pending(), vec![OrderEvent::OrderRejected { sku: sku("tea"), code, was }]].concat()
}

/// The messages of an order with the id `test` to an inventory.
pub(super) fn reserve(name: &str, pieces: i64) -> Message {
    let quantity = Quantity::new(pieces).unwrap();
    Message::to::<Inventory>(name, InventoryCommand::ReserveLine { order: order(), quantity })
        .on_refused::<super::Order>("test", record_refused(name))
}

pub(super) fn release(name: &str) -> Message {
    Message::to::<Inventory>(name, InventoryCommand::ReleaseStock { order: order() })
}

pub(super) fn commit(name: &str) -> Message {
    Message::to::<Inventory>(name, InventoryCommand::CommitStock { order: order() })
}

/// Ada's order of tea when it had this status.
pub(super) fn was(status: OrderStatus) -> Option<OrderSummary> {
    was_worth(status, 700)
}

pub(super) fn was_worth(status: OrderStatus, total: i64) -> Option<OrderSummary> {
    Some(OrderSummary { customer: text("Ada"), status, total_cents: cents(total) })
}

pub(super) fn new_line(sku: &str, quantity: i64, unit_price_cents: i64) -> NewLine {
    let Line { sku, quantity, unit_price_cents } = line(sku, quantity, unit_price_cents);
    NewLine { sku, quantity, unit_price_cents }
}

pub(super) fn line(sku: &str, quantity: i64, unit_price_cents: i64) -> Line {
    Line { sku: self::sku(sku), quantity: Quantity::new(quantity).unwrap(), unit_price_cents: cents(unit_price_cents) }
}

/// Two pieces that each cost the maximum.
pub(super) fn steep_line() -> NewLine {
    NewLine { unit_price_cents: Cents::MAX, ..new_line("palace", 2, 0) }
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

fn order() -> OrderId {
    OrderId::new("test").unwrap()
}

fn email() -> Email {
    Email::new("ada@example.org").unwrap()
}

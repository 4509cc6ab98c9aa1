//! Each confirmed order of the shop has its stock, once, or gave it back.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{DeliveryCheck, Histories, number, text};
use crate::Promise;

/// What the inventory of a sku recorded for an order.
type Movement<'a> = (&'a str, u64);

/// The movements for each order and sku, in their order.
type Movements<'a> = BTreeMap<(&'a str, &'a str), Vec<Movement<'a>>>;

pub(super) fn check(orders: &Histories<'_>, inventories: &Histories<'_>, check: &mut DeliveryCheck) {
    let mut movements = Movements::new();
    for (sku, events) in inventories {
        for event in events.iter().filter(|event| event["data"]["order"].is_string()) {
            let (order, quantity) = (text(&event["data"]["order"]), number(&event["data"]["quantity"]));
            movements.entry((order, *sku)).or_default().push((text(&event["type"]), quantity));
        }
    }
    for (id, events) in orders {
        if events.iter().any(|event| event["type"] == "OrderConfirmed") {
            check.reservations += 1;
            confirmed(id, events, &mut movements, check);
        }
    }
    // Clients reserve by hand for orders that do not exist.
    for ((order, sku), moved) in movements.iter().filter(|((order, _), _)| orders.contains_key(order)) {
        check.broken(Promise::StockIsConserved, order, format!("it did not ask for {sku}, which has moved {moved:?}"));
    }
}

fn confirmed<'a>(id: &'a str, events: &[&'a Value], movements: &mut Movements<'a>, check: &mut DeliveryCheck) {
    let needed = needed(events);
    let answered: Vec<&str> = events
        .iter()
        .filter(|event| event["type"] == "LineReserved")
        .map(|event| text(&event["data"]["sku"]))
        .collect();
    let last = ["OrderShipped", "OrderRejected", "OrderCancelled", "StockReserved"]
        .into_iter()
        .find(|name| events.iter().any(|event| event["type"] == *name));
    for (sku, quantity) in needed {
        let moved = movements.remove(&(id, sku)).unwrap_or_default();
        let (reserved, released, committed) =
            (("StockReserved", quantity), ("StockReleased", quantity), ("StockCommitted", quantity));
        let allowed: &[&[Movement<'_>]] = match last {
            Some("OrderShipped") => &[&[reserved, committed]],
            Some("StockReserved") => &[&[reserved]],
            Some(_) => &[&[], &[reserved, released]],
            None => &[&[], &[reserved]],
        };
        let answers = answered.iter().filter(|answered| **answered == sku).count();
        if answers > 1 || answers == 1 && moved.is_empty() {
            let seen = format!("{sku} answered {answers} times, and has moved {moved:?}");
            check.broken(Promise::MessagesArriveOnce, id, seen);
        }
        if allowed.contains(&moved.as_slice()) {
            continue;
        }
        let seen = format!("{sku} has moved {moved:?} for {quantity} pieces after {last:?}");
        if allowed.iter().any(|allowed| allowed.starts_with(&moved)) {
            check.missing(Promise::MessagesArriveOnce, id, seen);
        } else {
            check.broken(Promise::StockIsConserved, id, seen);
        }
    }
    if last.is_none() {
        check.missing(Promise::MessagesArriveOnce, id, "its reservation is still pending");
    }
}

/// How many pieces of each sku the lines of an order need together.
fn needed<'a>(events: &[&'a Value]) -> BTreeMap<&'a str, u64> {
    let mut needed = BTreeMap::new();
    for event in events {
        let data = &event["data"];
        let lines: Vec<&Value> = match text(&event["type"]) {
            "OrderCreated" => data["lines"].as_array().into_iter().flatten().collect(),
            "LineAdded" => vec![data],
            _ => Vec::new(),
        };
        for line in lines {
            *needed.entry(text(&line["sku"])).or_default() += number(&line["quantity"]);
        }
    }
    needed
}

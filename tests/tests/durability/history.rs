//! What the server says happened to one aggregate, and what that amounts to, worked out here and not by the product.

use std::collections::BTreeMap;

use dormouse_harness::Client;
use serde_json::{Value, json};

/// All events of an aggregate, oldest first.
pub(crate) fn read(client: &Client, aggregate: &str) -> Vec<Value> {
    let mut events = Vec::new();
    let mut next = Some(format!("/v1/{aggregate}/events?limit=100"));
    while let Some(path) = next {
        let page = client.get(&path).unwrap();
        if page.status == 404 {
            break;
        }
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        next = page["next"].as_str().map(str::to_owned);
    }
    events
}

/// The state that the events lead to, as far as it says something about loss and repetition.
pub(crate) fn fold(aggregate: &str, events: &[Value]) -> Value {
    if aggregate.starts_with("order/") { fold_order(events) } else { fold_inventory(events) }
}

/// The same part of the state that the server shows.
pub(crate) fn comparable(aggregate: &str, state: &Value) -> Value {
    if aggregate.starts_with("order/") {
        let lines = state["lines"].as_array().map_or(0, Vec::len);
        json!({"status": state["status"], "lines": lines, "total_cents": state["total_cents"]})
    } else {
        json!({
            "on_hand": state["on_hand"],
            "reserved": state["reserved"],
            "reservations": state["reservations"],
        })
    }
}

fn fold_order(events: &[Value]) -> Value {
    let (mut status, mut lines, mut total) = (Value::Null, 0, 0);
    let price = |line: &Value| line["quantity"].as_u64().unwrap() * line["unit_price_cents"].as_u64().unwrap();
    for event in events {
        let data = &event["data"];
        match event["type"].as_str().unwrap() {
            "OrderCreated" => {
                let first = data["lines"].as_array().unwrap();
                (status, lines) = (json!("open"), first.len());
                total = first.iter().map(price).sum();
            }
            "LineAdded" => (lines, total) = (lines + 1, total + price(data)),
            "OrderConfirmed" => status = json!("confirmed"),
            other => panic!("nobody asked for {other}"),
        }
    }
    json!({"status": status, "lines": lines, "total_cents": total})
}

fn fold_inventory(events: &[Value]) -> Value {
    let (mut on_hand, mut reservations) = (0, BTreeMap::new());
    for event in events {
        let data = &event["data"];
        let order = || data["order"].as_str().unwrap().to_owned();
        match event["type"].as_str().unwrap() {
            "InventoryUpdated" => on_hand += data["change"].as_i64().unwrap(),
            "StockReserved" => {
                let before = reservations.insert(order(), data["quantity"].as_i64().unwrap());
                assert_eq!(before, None, "reserved twice: {event}");
            }
            "StockReleased" => {
                reservations.remove(&order()).unwrap();
            }
            "StockCommitted" => on_hand -= reservations.remove(&order()).unwrap(),
            other => panic!("nobody asked for {other}"),
        }
    }
    let reserved: i64 = reservations.values().sum();
    assert!(on_hand >= reserved, "more reserved than there is");
    json!({"on_hand": on_hand, "reserved": reserved, "reservations": reservations})
}

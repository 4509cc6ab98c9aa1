//! Models that apply events of an aggregate, without the product's code.
//!
//! They contain only what shows loss and repetition. Other aggregate types are checked without a model.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The name of a row that only says what its aggregate sends or schedules. The state does not change.
const OUTGOING: &str = "$outgoing";

/// A state to which events are applied one after the other.
pub(crate) trait Model {
    /// Applies an event. `Err` says why it cannot have happened in this state.
    fn apply(&mut self, kind: &str, data: &Value) -> Result<(), String>;

    /// The state, in the form that [`comparable`] gives the server's state.
    fn state(&self) -> Value;
}

/// An empty model for an aggregate; `None` for types without a model.
pub(crate) fn open(aggregate: &str) -> Option<Box<dyn Model>> {
    match kind(aggregate) {
        "order" => Some(Box::<Order>::default()),
        "inventory" => Some(Box::<Inventory>::default()),
        _ => None,
    }
}

/// The part of a state that the models contain.
pub(crate) fn comparable(aggregate: &str, state: &Value) -> Value {
    if state.is_null() {
        return Value::Null;
    }
    match kind(aggregate) {
        "order" => {
            let lines = state["lines"].as_array().map_or(0, Vec::len);
            json!({"status": state["status"], "lines": lines, "total_cents": state["total_cents"]})
        }
        _ => json!({
            "on_hand": state["on_hand"],
            "reserved": state["reserved"],
            "reservations": state["reservations"],
        }),
    }
}

fn kind(aggregate: &str) -> &str {
    aggregate.split('/').next().unwrap_or_default()
}

#[derive(Default)]
struct Order {
    status: Value,
    lines: usize,
    total_cents: u64,
}

impl Model for Order {
    fn apply(&mut self, kind: &str, data: &Value) -> Result<(), String> {
        match (kind, self.status.as_str()) {
            (OUTGOING, Some(_)) => {}
            ("OrderCreated", None) => {
                let first = data["lines"].as_array().ok_or("an order without lines")?;
                self.status = json!("open");
                self.lines = first.len();
                self.total_cents = first.iter().map(price).sum();
            }
            ("LineAdded", Some("open")) => {
                self.lines += 1;
                self.total_cents += price(data);
            }
            ("OrderConfirmed", Some("open")) => self.status = json!("confirmed"),
            ("LineReserved" | "StockReserved", Some("confirmed")) => {}
            ("OrderRejected", Some("confirmed")) => self.status = json!("rejected"),
            ("OrderShipped", Some("confirmed")) => self.status = json!("shipped"),
            ("OrderCancelled", Some("open" | "confirmed")) => self.status = json!("cancelled"),
            (_, status) => return Err(format!("{kind} while the order was {}", status.unwrap_or("not there"))),
        }
        Ok(())
    }

    fn state(&self) -> Value {
        json!({"status": self.status, "lines": self.lines, "total_cents": self.total_cents})
    }
}

fn price(line: &Value) -> u64 {
    line["quantity"].as_u64().unwrap_or_default() * line["unit_price_cents"].as_u64().unwrap_or_default()
}

#[derive(Default)]
struct Inventory {
    on_hand: i64,
    reservations: BTreeMap<String, i64>,
}

impl Model for Inventory {
    fn apply(&mut self, kind: &str, data: &Value) -> Result<(), String> {
        let order = data["order"].as_str().unwrap_or_default();
        let reserved = |before: Option<i64>| before.ok_or_else(|| format!("{kind} of {order}, which has nothing"));
        match kind {
            OUTGOING => {}
            "InventoryUpdated" => self.on_hand += data["change"].as_i64().unwrap_or_default(),
            "StockReserved" => {
                let quantity = data["quantity"].as_i64().unwrap_or_default();
                if self.reservations.insert(order.to_owned(), quantity).is_some() {
                    return Err(format!("{order} reserved twice"));
                }
            }
            "StockReleased" => {
                reserved(self.reservations.remove(order))?;
            }
            "StockCommitted" => self.on_hand -= reserved(self.reservations.remove(order))?,
            _ => return Err(format!("unknown event {kind}")),
        }
        if self.on_hand < self.reserved() {
            return Err(format!("{kind} left more reserved than there is"));
        }
        Ok(())
    }

    fn state(&self) -> Value {
        json!({"on_hand": self.on_hand, "reserved": self.reserved(), "reservations": self.reservations})
    }
}

impl Inventory {
    fn reserved(&self) -> i64 {
        self.reservations.values().sum()
    }
}

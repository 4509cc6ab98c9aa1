//! The view `daily-sales`.

use std::collections::BTreeMap;

use serde_json::json;

use super::ViewDocument;
use super::moment::day;
use super::orders::{Order, is_turn};

/// Counts and amounts of each day.
#[derive(Debug, Clone, Default)]
pub(super) struct Days(BTreeMap<String, Day>);

#[derive(Debug, Clone, Default)]
struct Day {
    placed: u64,
    confirmed: u64,
    shipped: u64,
    cancelled: u64,
    rejected: u64,
    sold_cents: i64,
    cancelled_cents: i64,
    rejected_cents: i64,
    position: u64,
}

impl Days {
    /// Applies an event of an order. `order` is the order before the event.
    pub(super) fn apply(&mut self, name: &str, order: &Order, now: &str, position: u64) {
        if !is_turn(name) {
            return;
        }
        let day = self.0.entry(day(now).to_owned()).or_default();
        day.position = position;
        match name {
            "OrderCreated" => day.placed += 1,
            "OrderConfirmed" => {
                day.confirmed += 1;
                day.sold_cents += order.total_cents;
            }
            "OrderShipped" => day.shipped += 1,
            "OrderRejected" => {
                day.rejected += 1;
                day.rejected_cents += order.total_cents;
            }
            _ => {
                day.cancelled += 1;
                day.cancelled_cents += if order.was_confirmed { order.total_cents } else { 0 };
            }
        }
    }

    pub(super) fn kept(&self) -> BTreeMap<String, ViewDocument> {
        self.0.iter().map(|(date, day)| (date.clone(), day.kept(date))).collect()
    }
}

impl Day {
    fn kept(&self, date: &str) -> ViewDocument {
        let document = json!({
            "day": date,
            "placed": self.placed,
            "confirmed": self.confirmed,
            "shipped": self.shipped,
            "cancelled": self.cancelled,
            "rejected": self.rejected,
            "sold_cents": self.sold_cents,
            "cancelled_cents": self.cancelled_cents,
            "rejected_cents": self.rejected_cents,
            "revenue_cents": self.sold_cents - self.cancelled_cents - self.rejected_cents,
        });
        ViewDocument { document, position: self.position }
    }
}

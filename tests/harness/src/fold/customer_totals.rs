//! The view `customer-totals`: sums over the current orders.

use std::collections::BTreeMap;

use serde_json::json;

use super::ViewDocument;
use super::orders::{Order, Status};

#[derive(Default)]
struct Total<'a> {
    orders: u64,
    open: u64,
    confirmed: u64,
    shipped: u64,
    cancelled: u64,
    rejected: u64,
    total_cents: i64,
    cancelled_cents: i64,
    rejected_cents: i64,
    last_order_at: &'a str,
    updated_at: &'a str,
    position: u64,
}

pub(super) fn of<'a>(orders: impl Iterator<Item = &'a Order>) -> BTreeMap<String, ViewDocument> {
    let mut totals: BTreeMap<&str, Total<'_>> = BTreeMap::new();
    for order in orders {
        let Some(status) = order.status else { continue };
        totals.entry(&order.customer).or_default().add(order, status);
    }
    totals.into_iter().map(|(customer, total)| (customer.to_owned(), total.kept(customer))).collect()
}

impl<'a> Total<'a> {
    fn add(&mut self, order: &'a Order, status: Status) {
        self.orders += 1;
        match status {
            Status::Open => self.open += 1,
            Status::Confirmed => {
                self.confirmed += 1;
                self.total_cents += order.total_cents;
            }
            Status::Shipped => {
                self.shipped += 1;
                self.total_cents += order.total_cents;
            }
            Status::Cancelled => {
                self.cancelled += 1;
                self.cancelled_cents += if order.was_confirmed { order.total_cents } else { 0 };
            }
            Status::Rejected => {
                self.rejected += 1;
                self.rejected_cents += order.total_cents;
            }
        }
        self.last_order_at = self.last_order_at.max(&order.placed_at);
        self.updated_at = self.updated_at.max(&order.turned_at);
        self.position = self.position.max(order.turned);
    }

    fn kept(&self, customer: &str) -> ViewDocument {
        let document = json!({
            "customer": customer,
            "orders": self.orders,
            "open": self.open,
            "confirmed": self.confirmed,
            "shipped": self.shipped,
            "cancelled": self.cancelled,
            "rejected": self.rejected,
            "total_cents": self.total_cents,
            "cancelled_cents": self.cancelled_cents,
            "rejected_cents": self.rejected_cents,
            "last_order_at": self.last_order_at,
            "updated_at": self.updated_at,
        });
        ViewDocument { document, position: self.position }
    }
}

//! The expected content of the commerce views, computed from the log without the product's code.
//!
//! A [`Fold`] applies the log event by event. For each position it knows every document of every view, and the event
//! that last changed it. [`ServedView`] is what the server returns for a view, and a [`Difference`] is a place where
//! the two disagree. Customers' totals are sums over the current orders, and days are sums over what happened on them.
//! The product computes them in another way, from what each event says about its order.

mod customer_totals;
mod daily_sales;
mod difference;
mod inventory;
mod log;
mod moment;
mod orders;
mod served;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use daily_sales::Days;
pub use difference::{Difference, Mismatch, differences};
use inventory::Stock;
pub use log::Log;
use orders::Order;
pub use served::ServedView;

/// The names of all views.
pub const VIEWS: [&str; 4] = ["orders", "customer-totals", "inventory", "daily-sales"];

/// The name of a row that only says what its aggregate sends or schedules. No view shows anything of it.
const OUTGOING: &str = "$outgoing";

/// A document, and the position of the event that last changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewDocument {
    /// The document under the key.
    pub document: Value,
    /// The position of that event.
    pub position: u64,
}

/// The content of all views after the events so far.
#[derive(Debug, Clone, Default)]
pub struct Fold {
    at: u64,
    versions: HashMap<String, u64>,
    orders: BTreeMap<String, Order>,
    stock: BTreeMap<String, Stock>,
    days: Days,
}

impl Fold {
    /// The views before the first event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The views after all events of a log.
    ///
    /// # Panics
    /// When the log is not valid: see [`Fold::apply`].
    #[must_use]
    #[track_caller]
    pub fn of(log: &Log) -> Self {
        let mut fold = Self::new();
        fold.advance(log, log.head());
        fold
    }

    /// Applies the events up to a position.
    ///
    /// # Panics
    /// When the log is not valid: see [`Fold::apply`].
    #[track_caller]
    pub fn advance(&mut self, log: &Log, position: u64) {
        for event in log.between(self.at, position) {
            self.apply(event).unwrap_or_else(|wrong| panic!("the log at position {}: {wrong}", self.at + 1));
        }
    }

    /// Applies the next event. `Err` says why this event cannot be next: its position or version does not follow, or
    /// the state does not allow it.
    pub fn apply(&mut self, event: &Value) -> Result<(), String> {
        let number = |field: &str| event[field].as_u64().ok_or_else(|| format!("an event without {field}: {event}"));
        let text = |field: &str| event[field].as_str().ok_or_else(|| format!("an event without {field}: {event}"));
        let (position, version) = (number("position")?, number("version")?);
        let (kind, id, name, data) = (text("aggregate")?, text("id")?, text("type")?, &event["data"]);
        let now = moment::written(text("recorded_at")?);
        if position != self.at + 1 {
            return Err(format!("position {position} follows {}", self.at));
        }
        let last = self.versions.entry(format!("{kind}/{id}")).or_default();
        if version != *last + 1 {
            return Err(format!("version {version} of {kind}/{id} follows {last}"));
        }
        match kind {
            _ if name == OUTGOING => {}
            "order" => {
                let order = self.orders.entry(id.to_owned()).or_default();
                self.days.apply(name, order, &now, position);
                order.apply(id, name, data, now, position)?;
            }
            "inventory" => self.stock.entry(id.to_owned()).or_default().apply(id, name, data, now, position)?,
            _ => {}
        }
        *last = version;
        self.at = position;
        Ok(())
    }

    /// The position of the last event.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// Every document of a view, by its key.
    ///
    /// # Panics
    /// When there is no such view.
    #[must_use]
    pub fn view(&self, view: &str) -> BTreeMap<String, ViewDocument> {
        self.first(view, usize::MAX)
    }

    /// The first documents of a view in key order, at most `count`.
    ///
    /// # Panics
    /// When there is no such view.
    #[must_use]
    pub fn first(&self, view: &str, count: usize) -> BTreeMap<String, ViewDocument> {
        match view {
            "orders" => self.orders.iter().take(count).map(|(id, order)| (id.clone(), order.kept())).collect(),
            "customer-totals" => customer_totals::of(self.orders.values()).into_iter().take(count).collect(),
            "inventory" => self.stock.iter().take(count).map(|(sku, stock)| (sku.clone(), stock.kept())).collect(),
            "daily-sales" => self.days.kept().into_iter().take(count).collect(),
            _ => panic!("there is no view {view}"),
        }
    }

    /// One document of a view; `None` if there is none with that key.
    #[must_use]
    pub fn document(&self, view: &str, key: &str) -> Option<ViewDocument> {
        match view {
            "orders" => self.orders.get(key).map(Order::kept),
            "inventory" => self.stock.get(key).map(Stock::kept),
            _ => self.view(view).remove(key),
        }
    }
}

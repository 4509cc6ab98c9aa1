//! What the views of commerce must hold, worked out from the log and not by the product.
//!
//! A [`Fold`] takes in the log event by event; at each position it says what every document of every view is then, and
//! by which event it last changed. [`Shown`] is what the server shows of a view, and a [`Difference`] is where the two
//! disagree. Customers' totals are added up over the orders as they stand, and days over what happened on them: not from
//! what an event says about its order, as the product does it.

mod customer_totals;
mod daily_sales;
mod difference;
mod inventory;
mod log;
mod moment;
mod orders;
mod shown;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use daily_sales::Days;
pub use difference::{Difference, Wrong, differences};
use inventory::Stock;
pub use log::Log;
use orders::Order;
pub use shown::Shown;

/// The views there are.
pub const VIEWS: [&str; 4] = ["orders", "customer-totals", "inventory", "daily-sales"];

/// A document, and the position of the event that last changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What is under the key.
    pub document: Value,
    /// By which event.
    pub position: u64,
}

/// What the views hold after the events so far.
#[derive(Debug, Clone, Default)]
pub struct Fold {
    at: u64,
    versions: HashMap<String, u64>,
    orders: BTreeMap<String, Order>,
    stock: BTreeMap<String, Stock>,
    days: Days,
}

impl Fold {
    /// Before the first event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// After all of them.
    ///
    /// # Panics
    /// When it is no log: see [`Fold::enter`].
    #[must_use]
    #[track_caller]
    pub fn of(log: &Log) -> Self {
        let mut fold = Self::new();
        fold.advance(log, log.head());
        fold
    }

    /// Takes in what follows, up to a position.
    ///
    /// # Panics
    /// When it is no log: see [`Fold::enter`].
    #[track_caller]
    pub fn advance(&mut self, log: &Log, position: u64) {
        for event in log.between(self.at, position) {
            self.enter(event).unwrap_or_else(|wrong| panic!("the log at position {}: {wrong}", self.at + 1));
        }
    }

    /// Takes in the next event. `Err` says why it cannot be the next: a position or a version that does not follow, or
    /// something that cannot have happened now.
    pub fn enter(&mut self, event: &Value) -> Result<(), String> {
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
            "order" => {
                let order = self.orders.entry(id.to_owned()).or_default();
                self.days.enter(name, order, &now, position);
                order.enter(id, name, data, now, position)?;
            }
            "inventory" => self.stock.entry(id.to_owned()).or_default().enter(id, name, data, now, position)?,
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
    pub fn view(&self, view: &str) -> BTreeMap<String, Kept> {
        self.first(view, usize::MAX)
    }

    /// The first documents of a view, so many if there are.
    ///
    /// # Panics
    /// When there is no such view.
    #[must_use]
    pub fn first(&self, view: &str, count: usize) -> BTreeMap<String, Kept> {
        match view {
            "orders" => self.orders.iter().take(count).map(|(id, order)| (id.clone(), order.kept())).collect(),
            "customer-totals" => customer_totals::of(self.orders.values()).into_iter().take(count).collect(),
            "inventory" => self.stock.iter().take(count).map(|(sku, stock)| (sku.clone(), stock.kept())).collect(),
            "daily-sales" => self.days.kept().into_iter().take(count).collect(),
            _ => panic!("there is no view {view}"),
        }
    }

    /// One document of a view; `None` if there is none under that key.
    #[must_use]
    pub fn document(&self, view: &str, key: &str) -> Option<Kept> {
        match view {
            "orders" => self.orders.get(key).map(Order::kept),
            "inventory" => self.stock.get(key).map(Stock::kept),
            _ => self.view(view).remove(key),
        }
    }
}

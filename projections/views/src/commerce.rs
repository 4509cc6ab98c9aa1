//! The views of commerce: orders, the totals of each customer, the stock of each sku, and the sales of each day.
//!
//! [`Orders`] and [`InventoryLevels`] have one document for each aggregate. [`CustomerTotals`] and [`DailySales`] add
//! up over many orders. They see single events and not the orders, so they use what an event says about its order
//! ([`OrderSummary`](dormouse_aggregates::commerce::OrderSummary)).

mod amount;
mod customer_totals;
mod daily_sales;
mod inventory_levels;
pub mod limits;
mod orders;
#[cfg(test)]
mod stories;

pub use amount::Amount;
pub use customer_totals::{CustomerTotal, CustomerTotals};
pub use daily_sales::{DailySales, SalesOfDay};
pub use inventory_levels::{InventoryLevel, InventoryLevels};
pub use orders::{Orders, PlacedOrder};

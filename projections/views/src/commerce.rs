//! What is asked of commerce: orders, what each customer ordered, how much of a sku there is, how each day went.
//!
//! [`Orders`] and [`InventoryLevels`] have a document for each aggregate. [`CustomerTotals`] and [`DailySales`] add up over
//! many orders; they see events one by one and not the orders, and live on what an event says of its order
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

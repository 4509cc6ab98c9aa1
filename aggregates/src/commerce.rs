//! Orders and the stock they take from.
//!
//! An [`Order`] is created with its lines, confirmed, and then shipped or cancelled. An [`Inventory`] is one sku, named by
//! it: stock comes and goes, and orders reserve it, then release it or commit it. The two know each other by name only:
//! an order's [`Sku`]s are inventories' ids, a reservation's [`OrderId`] is an order's.

mod cents;
mod email;
mod inventory;
pub mod limits;
mod order;
mod order_id;
mod quantity;
mod sku;
mod text;

pub use cents::Cents;
pub use email::Email;
pub use inventory::{Inventory, InventoryCommand, InventoryEvent, InventoryRejection, StockLevel};
pub use order::{
    Line, NewLine, Order, OrderCommand, OrderEvent, OrderRejection, OrderReply, OrderStatus, OrderSummary,
};
pub use order_id::OrderId;
pub use quantity::Quantity;
pub use sku::Sku;
pub use text::Text;

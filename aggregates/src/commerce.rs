//! Orders, and the inventories that they take stock from.
//!
//! An [`Order`] is created with its lines, confirmed, and then shipped or cancelled. An [`Inventory`] has the stock of
//! one sku. Orders reserve stock, and then release or commit it. The two aggregates know only each other's ids: the
//! [`Sku`]s in an order are ids of inventories, and the [`OrderId`] of a reservation is the id of an order.

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

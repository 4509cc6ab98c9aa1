//! Orders, and the inventories that they take stock from.
//!
//! An [`Order`] is created with its lines, confirmed, and then shipped or cancelled. An [`Inventory`] has the stock of
//! one sku. The two aggregates know only each other's ids: the [`Sku`]s in an order are ids of inventories, and the
//! [`OrderId`] of a reservation is the id of an order.
//!
//! A confirmed order reserves its stock by messages. It sends `ReserveLine` to the inventory of each of its skus. The
//! inventory answers with `RecordLineReserved`, or refuses, and the order gets `RecordLineRefused`. When all skus are
//! reserved, the order can be shipped. At the first refusal the order is rejected. An order that is rejected or
//! cancelled releases what is reserved, and also what an inventory reserves later. An order that is shipped commits its
//! stock.

mod cents;
mod inventory;
pub mod limits;
mod order;
mod order_id;
mod quantity;
mod sku;

pub use cents::Cents;
pub use inventory::{Inventory, InventoryCommand, InventoryEvent, InventoryRejection, StockLevel};
pub use order::{
    Line, NewLine, Order, OrderCommand, OrderEvent, OrderRejection, OrderReply, OrderStatus, OrderSummary, Reservation,
    Shortage, customer_subject,
};
pub use order_id::OrderId;
pub use quantity::Quantity;
pub use sku::Sku;

pub use crate::{Email, Text};

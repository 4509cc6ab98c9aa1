//! An order of a customer, from its first lines until it is shipped or cancelled.

mod add_line;
mod cancel;
mod confirm;
mod create;
mod line;
mod rejection;
mod ship;
#[cfg(test)]
mod stories;
mod summary;

use dormouse_kernel::{Aggregate, Context, DomainEvent};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::line::{Line, NewLine};
pub use self::rejection::OrderRejection;
pub use self::summary::OrderSummary;
use crate::commerce::{Cents, Email, Quantity, Sku, Text};

/// The state of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// The status. `None` before the order is created.
    pub status: Option<OrderStatus>,
    /// The customer.
    pub customer: Option<Text>,
    /// The customer's e-mail address.
    pub email: Option<Email>,
    /// The lines, in the order in which they were added.
    pub lines: Vec<Line>,
    /// The price of all lines.
    pub total_cents: Cents,
    /// The carrier's tracking number, once the order is shipped.
    pub tracking: Option<Text>,
    /// The reason for the cancellation, if the order was cancelled.
    pub cancelled_because: Option<Text>,
}

/// The status of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrderStatus {
    /// Lines may be added.
    Open,
    /// The customer has confirmed the order. Its lines do not change any more.
    Confirmed,
    /// The order has left the warehouse.
    Shipped,
    /// The order will not be shipped.
    Cancelled,
}

/// The commands of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum OrderCommand {
    /// Creates the order, with at least one line.
    CreateOrder {
        /// The customer.
        customer: Text,
        /// The customer's e-mail address.
        email: Email,
        /// The lines: 1 to 500.
        #[schemars(length(min = 1, max = 500))]
        lines: Vec<NewLine>,
    },
    /// Adds a line to an open order. A sku may have several lines.
    AddLine {
        /// The sku.
        sku: Sku,
        /// How many pieces.
        quantity: Quantity,
        /// The price of one piece.
        unit_price_cents: Cents,
    },
    /// Confirms an open order.
    ConfirmOrder,
    /// Ships a confirmed order.
    ShipOrder {
        /// The carrier's tracking number.
        tracking: Text,
    },
    /// Cancels an order that is not shipped yet.
    CancelOrder {
        /// Why the order is cancelled.
        reason: Text,
    },
}

/// The events of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OrderEvent {
    /// The order was created.
    OrderCreated {
        /// The customer.
        customer: Text,
        /// The customer's e-mail address.
        email: Email,
        /// The first lines.
        lines: Vec<Line>,
    },
    /// A line was added.
    LineAdded {
        /// The sku.
        sku: Sku,
        /// How many pieces.
        quantity: Quantity,
        /// The price of one piece.
        unit_price_cents: Cents,
    },
    /// The customer confirmed the order.
    OrderConfirmed {
        /// The price of all lines, which the customer agreed to.
        total_cents: Cents,
        /// The order just before this event. Events of older versions do not have it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<OrderSummary>,
    },
    /// The order left the warehouse.
    OrderShipped {
        /// The carrier's tracking number.
        tracking: Text,
        /// The order just before this event. Events of older versions do not have it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<OrderSummary>,
    },
    /// The order was cancelled.
    OrderCancelled {
        /// Why the order was cancelled.
        reason: Text,
        /// The order just before this event. Events of older versions do not have it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<OrderSummary>,
    },
}

impl DomainEvent for OrderEvent {}

/// The reply to every command: the order after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderReply {
    /// The status.
    pub status: OrderStatus,
    /// The price of all lines.
    pub total_cents: Cents,
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Reply = OrderReply;
    type Rejection = OrderRejection;

    fn decide(&self, command: OrderCommand, context: &mut Context<Self>) -> Result<OrderReply, OrderRejection> {
        match command {
            OrderCommand::CreateOrder { customer, email, lines } => self.create(customer, email, lines, context),
            OrderCommand::AddLine { sku, quantity, unit_price_cents } => {
                self.add_line(Line { sku, quantity, unit_price_cents }, context)
            }
            OrderCommand::ConfirmOrder => self.confirm(context),
            OrderCommand::ShipOrder { tracking } => self.ship(tracking, context),
            OrderCommand::CancelOrder { reason } => self.cancel(reason, context),
        }
    }

    fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::OrderCreated { customer, email, lines } => {
                self.status = Some(OrderStatus::Open);
                self.customer = Some(customer.clone());
                self.email = Some(email.clone());
                lines.iter().for_each(|line| self.take(line.clone()));
            }
            OrderEvent::LineAdded { sku, quantity, unit_price_cents } => {
                self.take(Line { sku: sku.clone(), quantity: *quantity, unit_price_cents: *unit_price_cents });
            }
            OrderEvent::OrderConfirmed { .. } => self.status = Some(OrderStatus::Confirmed),
            OrderEvent::OrderShipped { tracking, .. } => {
                self.status = Some(OrderStatus::Shipped);
                self.tracking = Some(tracking.clone());
            }
            OrderEvent::OrderCancelled { reason, .. } => {
                self.status = Some(OrderStatus::Cancelled);
                self.cancelled_because = Some(reason.clone());
            }
        }
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl Order {
    /// The status, for all commands that need an order that was created.
    fn created(&self) -> Result<OrderStatus, OrderRejection> {
        self.status.ok_or(OrderRejection::NotCreated)
    }

    /// The order as the next event describes it to readers that see only the event.
    fn summary(&self) -> Option<OrderSummary> {
        Some(OrderSummary { customer: self.customer.clone()?, status: self.status?, total_cents: self.total_cents })
    }

    /// The total with `lines` added.
    fn total_with(&self, lines: &[Line]) -> Result<Cents, OrderRejection> {
        let total = lines.iter().try_fold(self.total_cents, |total, line| total.checked_add(line.total()?));
        total.ok_or(OrderRejection::TotalTooLarge)
    }

    fn take(&mut self, line: Line) {
        // No decision lets the total get so large. If stored events do, applying them must still not fail.
        self.total_cents = self.total_cents.saturating_add(line.total().unwrap_or(Cents::MAX));
        self.lines.push(line);
    }
}

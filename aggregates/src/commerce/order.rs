//! An order: what a customer wants, until it is shipped or cancelled.

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

/// An order and all that is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// How far it has come; nothing before it is created.
    pub status: Option<OrderStatus>,
    /// Who wants it.
    pub customer: Option<Text>,
    /// Where the customer can be reached.
    pub email: Option<Email>,
    /// What is wanted, in the order it was added.
    pub lines: Vec<Line>,
    /// What all lines cost together.
    pub total_cents: Cents,
    /// What the carrier calls the parcel, once it is shipped.
    pub tracking: Option<Text>,
    /// Why it was cancelled, if it was.
    pub cancelled_because: Option<Text>,
}

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrderStatus {
    /// Lines may be added.
    Open,
    /// The customer has decided; what is in it stays.
    Confirmed,
    /// It is on its way.
    Shipped,
    /// It will never be shipped.
    Cancelled,
}

/// What can be asked of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum OrderCommand {
    /// Begins the order, with at least one line.
    CreateOrder {
        /// Who wants it.
        customer: Text,
        /// Where the customer can be reached.
        email: Email,
        /// What is wanted: 1 to 500 lines.
        #[schemars(length(min = 1, max = 500))]
        lines: Vec<NewLine>,
    },
    /// Adds a line to an open order. A sku may have several lines.
    AddLine {
        /// What is wanted.
        sku: Sku,
        /// How many.
        quantity: Quantity,
        /// What one costs.
        unit_price_cents: Cents,
    },
    /// The customer has decided.
    ConfirmOrder,
    /// A confirmed order leaves the house.
    ShipOrder {
        /// What the carrier calls the parcel.
        tracking: Text,
    },
    /// An order that has not left the house never will.
    CancelOrder {
        /// Why.
        reason: Text,
    },
}

/// What can happen to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OrderEvent {
    /// It began.
    OrderCreated {
        /// Who wants it.
        customer: Text,
        /// Where the customer can be reached.
        email: Email,
        /// What is wanted, to begin with.
        lines: Vec<Line>,
    },
    /// One more line.
    LineAdded {
        /// What is wanted.
        sku: Sku,
        /// How many.
        quantity: Quantity,
        /// What one costs.
        unit_price_cents: Cents,
    },
    /// The customer has decided.
    OrderConfirmed {
        /// What all lines cost together: the sum that the customer agreed to.
        total_cents: Cents,
        /// What the order was just before. Events that were written before they said so have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<OrderSummary>,
    },
    /// It left the house.
    OrderShipped {
        /// What the carrier calls the parcel.
        tracking: Text,
        /// What the order was just before. Events that were written before they said so have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<OrderSummary>,
    },
    /// It never will.
    OrderCancelled {
        /// Why.
        reason: Text,
        /// What the order was just before. Events that were written before they said so have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<OrderSummary>,
    },
}

impl DomainEvent for OrderEvent {}

/// What a caller gets back from every command: where the order stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderReply {
    /// How far it has come.
    pub status: OrderStatus,
    /// What all lines cost together.
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
    /// How far it has come, for all commands but the first.
    fn created(&self) -> Result<OrderStatus, OrderRejection> {
        self.status.ok_or(OrderRejection::NotCreated)
    }

    /// What is said of it to those who see its next event, and not the order.
    fn summary(&self) -> Option<OrderSummary> {
        Some(OrderSummary { customer: self.customer.clone()?, status: self.status?, total_cents: self.total_cents })
    }

    /// The total with `lines` added.
    fn total_with(&self, lines: &[Line]) -> Result<Cents, OrderRejection> {
        let total = lines.iter().try_fold(self.total_cents, |total, line| total.checked_add(line.total()?));
        total.ok_or(OrderRejection::TotalTooLarge)
    }

    fn take(&mut self, line: Line) {
        // No decision lets the total get there. If history did, the fold must still not fail.
        self.total_cents = self.total_cents.saturating_add(line.total().unwrap_or(Cents::MAX));
        self.lines.push(line);
    }
}

//! An order of a customer, from its first lines until it is shipped, cancelled or rejected.

mod add_line;
mod cancel;
mod confirm;
mod create;
mod line;
mod notify_inventories;
mod record_line_refused;
mod record_line_reserved;
mod rejection;
mod reservation;
mod ship;
#[cfg(test)]
mod stories;
mod summary;

use std::borrow::Cow;
use std::collections::BTreeSet;

use dormouse_kernel::{Aggregate, AggregateId, Context, DomainEvent, Personal, caller_as_data_subject};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::line::{Line, NewLine};
pub use self::rejection::OrderRejection;
pub use self::reservation::{Reservation, Shortage};
pub use self::summary::OrderSummary;
use crate::commerce::{Cents, Email, Quantity, Sku, Text};

/// The state of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// The status. `None` before the order is created.
    pub status: Option<OrderStatus>,
    /// The subject who created the order, if it is known. The order belongs to this subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The customer.
    pub customer: Option<Text>,
    /// The customer's e-mail address.
    pub email: Option<Personal<Email>>,
    /// The lines, in the order in which they were added.
    pub lines: Vec<Line>,
    /// The price of all lines.
    pub total_cents: Cents,
    /// The carrier's tracking number, once the order is shipped.
    pub tracking: Option<Text>,
    /// The reason for the cancellation, if the order was cancelled.
    pub cancelled_because: Option<Text>,
    /// What could not be reserved, if the order was rejected.
    pub rejected_because: Option<Shortage>,
    /// What became of the stock that the order needs. `None` if the order asked for none: it was never confirmed, or an
    /// older version confirmed it.
    pub reservation: Option<Reservation>,
    /// The skus that the order asked for, and whose stock has not been reserved.
    pub awaited: BTreeSet<Sku>,
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
    /// The order will not be shipped, because a sku could not be reserved.
    Rejected,
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
        #[schemars(extend("x-personal" = true))]
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
    /// Confirms an open order, which then reserves its stock.
    ConfirmOrder,
    /// Ships a confirmed order whose stock is reserved.
    ShipOrder {
        /// The carrier's tracking number.
        tracking: Text,
    },
    /// Cancels an order that is not shipped yet.
    CancelOrder {
        /// Why the order is cancelled.
        reason: Text,
    },
    /// Records that the stock of a sku is reserved for the order. Only inventories send it.
    RecordLineReserved {
        /// The sku.
        sku: Sku,
    },
    /// Records that an inventory refused to reserve the stock of a sku: the order is rejected. It is sent only when a
    /// message is refused.
    RecordLineRefused {
        /// The sku.
        sku: Sku,
    },
    /// Sends the messages to the other inventories that were too many for one command. Only the order itself sends it.
    NotifyInventories {
        /// How many inventories have got a message already.
        from: usize,
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
        email: Personal<Email>,
        /// The first lines.
        lines: Vec<Line>,
        /// The subject who created the order, if it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
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
        /// The order reserves its stock. In events of older versions it does not.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        reserves: bool,
    },
    /// The stock of one sku was reserved.
    LineReserved {
        /// The sku.
        sku: Sku,
    },
    /// The stock of all skus is reserved.
    StockReserved {},
    /// The stock of a sku could not be reserved. The order will not be shipped.
    OrderRejected {
        /// The sku.
        sku: Sku,
        /// Why its inventory refused: the stable code of the rejection.
        code: String,
        /// The order just before this event.
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
    const INTERNAL_COMMANDS: &'static [&'static str] =
        &["RecordLineReserved", "RecordLineRefused", "NotifyInventories"];
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
            OrderCommand::RecordLineReserved { sku } => self.record_line_reserved(sku, context),
            OrderCommand::RecordLineRefused { sku } => self.record_line_refused(sku, context),
            OrderCommand::NotifyInventories { from } => self.notify_inventories(from, context),
        }
    }

    fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::OrderCreated { customer, email, lines, owner } => {
                self.owner.clone_from(owner);
                self.status = Some(OrderStatus::Open);
                self.customer = Some(customer.clone());
                self.email = Some(email.clone());
                lines.iter().for_each(|line| self.take(line.clone()));
            }
            OrderEvent::LineAdded { sku, quantity, unit_price_cents } => {
                self.take(Line { sku: sku.clone(), quantity: *quantity, unit_price_cents: *unit_price_cents });
            }
            OrderEvent::OrderConfirmed { reserves, .. } => {
                self.status = Some(OrderStatus::Confirmed);
                if *reserves {
                    self.reservation = Some(Reservation::Pending);
                    self.awaited = self.lines.iter().map(|line| line.sku.clone()).collect();
                }
            }
            OrderEvent::LineReserved { sku } => _ = self.awaited.remove(sku),
            OrderEvent::StockReserved {} => self.reservation = Some(Reservation::Reserved),
            OrderEvent::OrderRejected { sku, code, .. } => {
                self.status = Some(OrderStatus::Rejected);
                self.rejected_because = Some(Shortage { sku: sku.clone(), code: code.clone() });
                self.reservation = Some(Reservation::Released);
            }
            OrderEvent::OrderShipped { tracking, .. } => {
                self.status = Some(OrderStatus::Shipped);
                self.tracking = Some(tracking.clone());
                self.reservation = self.reservation.map(|_| Reservation::Committed);
            }
            OrderEvent::OrderCancelled { reason, .. } => {
                self.status = Some(OrderStatus::Cancelled);
                self.cancelled_because = Some(reason.clone());
                self.reservation = self.reservation.map(|_| Reservation::Released);
            }
        }
    }

    fn data_subject<'a>(&'a self, id: &'a AggregateId) -> Cow<'a, str> {
        customer_subject(self.owner.as_deref(), id).into()
    }

    fn owner<'a>(&'a self, _: &'a AggregateId) -> Option<&'a str> {
        self.owner.as_deref()
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

/// The person whose data an order has: its owner. An order without an owner has data of nobody else, and stands for
/// itself.
#[must_use]
pub fn customer_subject(owner: Option<&str>, order: &AggregateId) -> String {
    match owner {
        Some(owner) => caller_as_data_subject(owner),
        None => format!("{}/{order}", Order::TYPE),
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

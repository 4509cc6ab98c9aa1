//! The present state of each order.

use std::borrow::Cow;

use dormouse_aggregates::commerce::{
    Cents, Email, Line, Order, OrderEvent, OrderStatus, Reservation, Shortage, Text, customer_subject,
};
use dormouse_kernel::{AggregateId, Personal};
use dormouse_projections::{Event, Fields, Key, Keys, Project, Projection, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Moment;

/// The view `orders`: one document for each order. The key is the order's id.
#[derive(Clone, Copy, Debug)]
pub struct Orders;

/// The present state of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacedOrder {
    /// The order's id.
    #[schemars(with = "String")]
    pub order: AggregateId,
    /// The status.
    pub status: OrderStatus,
    /// The subject who created the order, if it is known. The order belongs to this subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The customer.
    pub customer: Text,
    /// The customer's e-mail address.
    pub email: Personal<Email>,
    /// The lines, in the order in which they were added.
    pub lines: Vec<Line>,
    /// The price of all lines, in cents.
    pub total_cents: Cents,
    /// The carrier's tracking number, once the order is shipped.
    pub tracking: Option<Text>,
    /// The reason for the cancellation, if the order was cancelled.
    pub cancelled_because: Option<Text>,
    /// What could not be reserved, if the order was rejected.
    pub rejected_because: Option<Shortage>,
    /// What became of the stock that the order needs. Null if the order asked for none: it was never confirmed, or an
    /// older version confirmed it.
    pub reservation: Option<Reservation>,
    /// When the order was created.
    pub placed_at: Moment,
    /// When the order was confirmed, if it was.
    pub confirmed_at: Option<Moment>,
    /// When all stock of the order was reserved, if it was.
    pub reserved_at: Option<Moment>,
    /// When the order was shipped, if it was.
    pub shipped_at: Option<Moment>,
    /// When the order was cancelled, if it was.
    pub cancelled_at: Option<Moment>,
    /// When the order was rejected, if it was.
    pub rejected_at: Option<Moment>,
    /// The time of the order's last event.
    pub updated_at: Moment,
}

impl Projection for Orders {
    const NAME: &'static str = "orders";
    const VERSION: u32 = 3;
    type Document = PlacedOrder;

    fn fields() -> Fields {
        Fields::none()
            .text("status")
            .text("owner")
            .text("customer")
            .integer("total_cents")
            .text("placed_at")
            .text("updated_at")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Order>()
    }

    fn owner_field() -> Option<&'static str> {
        Some("owner")
    }

    fn data_subject<'d>(_: &'d Key, order: &'d PlacedOrder) -> Cow<'d, str> {
        customer_subject(order.owner.as_deref(), &order.order).into()
    }

    fn query_one() -> Cow<'static, str> {
        "GetOrder".into()
    }
}

impl Project<Order> for Orders {
    fn keys(event: &Event<'_, Order>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<PlacedOrder>, event: &Event<'_, Order>, _: &Key) -> Option<PlacedOrder> {
        let now = Moment::from(event.recorded_at());
        let mut order = match (current, event.body()) {
            (Some(order), _) => order,
            (None, OrderEvent::OrderCreated { customer, email, owner, .. }) => PlacedOrder {
                order: event.id().clone(),
                status: OrderStatus::Open,
                owner: owner.clone(),
                customer: customer.clone(),
                email: email.clone(),
                lines: Vec::new(),
                total_cents: Cents::default(),
                tracking: None,
                cancelled_because: None,
                rejected_because: None,
                reservation: None,
                placed_at: now,
                confirmed_at: None,
                reserved_at: None,
                shipped_at: None,
                cancelled_at: None,
                rejected_at: None,
                updated_at: now,
            },
            // Each order begins with `OrderCreated`. If there is no document, this build does not contain that event.
            (None, _) => return None,
        };
        match event.body() {
            OrderEvent::OrderCreated { lines, .. } => lines.iter().for_each(|line| order.take(line.clone())),
            OrderEvent::LineAdded { sku, quantity, unit_price_cents } => {
                order.take(Line { sku: sku.clone(), quantity: *quantity, unit_price_cents: *unit_price_cents });
            }
            OrderEvent::OrderConfirmed { reserves, .. } => {
                order.status = OrderStatus::Confirmed;
                order.reservation = reserves.then_some(Reservation::Pending);
                order.confirmed_at = Some(now);
            }
            OrderEvent::LineReserved { .. } => {}
            OrderEvent::StockReserved {} => {
                order.reservation = Some(Reservation::Reserved);
                order.reserved_at = Some(now);
            }
            OrderEvent::OrderRejected { sku, code, .. } => {
                order.status = OrderStatus::Rejected;
                order.rejected_because = Some(Shortage { sku: sku.clone(), code: code.clone() });
                order.reservation = Some(Reservation::Released);
                order.rejected_at = Some(now);
            }
            OrderEvent::OrderShipped { tracking, .. } => {
                order.status = OrderStatus::Shipped;
                order.tracking = Some(tracking.clone());
                order.reservation = order.reservation.map(|_| Reservation::Committed);
                order.shipped_at = Some(now);
            }
            OrderEvent::OrderCancelled { reason, .. } => {
                order.status = OrderStatus::Cancelled;
                order.cancelled_because = Some(reason.clone());
                order.reservation = order.reservation.map(|_| Reservation::Released);
                order.cancelled_at = Some(now);
            }
        }
        order.updated_at = now;
        Some(order)
    }
}

impl PlacedOrder {
    fn take(&mut self, line: Line) {
        self.total_cents = self.total_cents.saturating_add(line.total().unwrap_or(Cents::MAX));
        self.lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use dormouse_projections::Given;

    use super::*;
    use crate::commerce::stories::{
        at, cancelled, cents, confirmed, confirmed_before_reservations, created, email, line, line_added,
        line_reserved, rejected, shipped, sku, stock_reserved, text, was,
    };

    /// Ada's order of tea after its creation.
    fn tea() -> PlacedOrder {
        PlacedOrder {
            order: AggregateId::new("o-1").unwrap(),
            owner: None,
            status: OrderStatus::Open,
            customer: text("Ada"),
            email: email().into(),
            lines: vec![line("tea", 2, 350)],
            total_cents: cents(700),
            tracking: None,
            cancelled_because: None,
            rejected_because: None,
            reservation: None,
            placed_at: at(1).into(),
            confirmed_at: None,
            reserved_at: None,
            shipped_at: None,
            cancelled_at: None,
            rejected_at: None,
            updated_at: at(1).into(),
        }
    }

    fn given_tea() -> Given<Orders> {
        Given::nothing().at(at(1)).when::<Order>("o-1", [created([line("tea", 2, 350)])]).then("o-1", &tea())
    }

    #[test]
    fn an_order_begins_open_with_its_lines() {
        let lines = [line("tea", 2, 350), line("cup", 1, 1200)];
        given_tea()
            .at(at(2))
            .when::<Order>("o-2", [created(lines.clone())])
            .then_keys(&["o-1", "o-2"])
            .then("o-1", &tea())
            .then(
                "o-2",
                &PlacedOrder {
                    order: AggregateId::new("o-2").unwrap(),
                    lines: lines.to_vec(),
                    total_cents: cents(1900),
                    placed_at: at(2).into(),
                    updated_at: at(2).into(),
                    ..tea()
                },
            );
    }

    #[test]
    fn a_line_adds_to_the_total() {
        given_tea().at(at(2)).when::<Order>("o-1", [line_added(line("cup", 3, 100))]).then(
            "o-1",
            &PlacedOrder {
                lines: vec![line("tea", 2, 350), line("cup", 3, 100)],
                total_cents: cents(1000),
                updated_at: at(2).into(),
                ..tea()
            },
        );
    }

    /// The order after its confirmation.
    fn confirmed_tea() -> PlacedOrder {
        PlacedOrder {
            status: OrderStatus::Confirmed,
            reservation: Some(Reservation::Pending),
            confirmed_at: Some(at(2).into()),
            updated_at: at(2).into(),
            ..tea()
        }
    }

    fn given_confirmed_tea() -> Given<Orders> {
        given_tea().at(at(2)).when::<Order>("o-1", [confirmed(700)]).then("o-1", &confirmed_tea())
    }

    #[test]
    fn an_order_has_the_times_of_its_confirmation_its_reservation_and_its_shipping() {
        let reserved_order = PlacedOrder {
            reservation: Some(Reservation::Reserved),
            reserved_at: Some(at(4).into()),
            updated_at: at(4).into(),
            ..confirmed_tea()
        };
        given_confirmed_tea()
            .at(at(3))
            .when::<Order>("o-1", [line_reserved()])
            .then("o-1", &PlacedOrder { updated_at: at(3).into(), ..confirmed_tea() })
            .at(at(4))
            .when::<Order>("o-1", [stock_reserved()])
            .then("o-1", &reserved_order)
            .at(at(5))
            .when::<Order>("o-1", [shipped(700)])
            .then(
                "o-1",
                &PlacedOrder {
                    status: OrderStatus::Shipped,
                    reservation: Some(Reservation::Committed),
                    tracking: Some(text("1Z999")),
                    shipped_at: Some(at(5).into()),
                    updated_at: at(5).into(),
                    ..reserved_order
                },
            );
    }

    #[test]
    fn an_order_that_an_older_version_confirmed_has_no_reservation() {
        let confirmed_order = PlacedOrder { reservation: None, ..confirmed_tea() };
        let given = given_tea().at(at(2)).when::<Order>("o-1", [confirmed_before_reservations(700)]);
        given.then("o-1", &confirmed_order).at(at(3)).when::<Order>("o-1", [shipped(700)]).then(
            "o-1",
            &PlacedOrder {
                status: OrderStatus::Shipped,
                tracking: Some(text("1Z999")),
                shipped_at: Some(at(3).into()),
                updated_at: at(3).into(),
                ..confirmed_order
            },
        );
    }

    #[test]
    fn a_rejected_order_names_the_sku_that_could_not_be_reserved() {
        given_confirmed_tea().at(at(3)).when::<Order>("o-1", [rejected(700)]).then(
            "o-1",
            &PlacedOrder {
                status: OrderStatus::Rejected,
                rejected_because: Some(Shortage { sku: sku("tea"), code: "insufficient-stock".to_owned() }),
                reservation: Some(Reservation::Released),
                rejected_at: Some(at(3).into()),
                updated_at: at(3).into(),
                ..confirmed_tea()
            },
        );
    }

    #[test]
    fn a_cancelled_order_releases_its_stock() {
        let given = given_confirmed_tea().at(at(3)).when::<Order>("o-1", [cancelled(was(OrderStatus::Confirmed, 700))]);
        given.then(
            "o-1",
            &PlacedOrder {
                status: OrderStatus::Cancelled,
                cancelled_because: Some(text("too late")),
                reservation: Some(Reservation::Released),
                cancelled_at: Some(at(3).into()),
                updated_at: at(3).into(),
                ..confirmed_tea()
            },
        );
    }

    #[test]
    fn a_cancelled_order_stays_in_the_view_with_its_reason() {
        for past in [was(OrderStatus::Open, 700), None] {
            given_tea().at(at(2)).when::<Order>("o-1", [cancelled(past)]).then(
                "o-1",
                &PlacedOrder {
                    status: OrderStatus::Cancelled,
                    cancelled_because: Some(text("too late")),
                    cancelled_at: Some(at(2).into()),
                    updated_at: at(2).into(),
                    ..tea()
                },
            );
        }
    }
}

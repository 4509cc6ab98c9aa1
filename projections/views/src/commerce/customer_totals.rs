//! The totals of each customer.

use dormouse_aggregates::commerce::{Order, OrderEvent, OrderStatus, OrderSummary, Text};
use dormouse_projections::{Event, Fields, Key, Keys, Project, Projection, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::limits::CUSTOMER_KEY_BYTES;
use crate::Moment;

/// The view `customer-totals`: one document for each customer. The key is the customer's name as it is in the orders.
///
/// The price of an order counts from its confirmation, because lines can be added before.
///
/// An event of an older version that does not name the customer is ignored. So the numbers of a customer are correct
/// only if all events of the customer's orders are newer.
#[derive(Clone, Copy, Debug)]
pub struct CustomerTotals;

/// The totals of a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerTotal {
    /// The customer.
    pub customer: Text,
    /// All orders: open, confirmed, shipped, cancelled and rejected ones.
    pub orders: u64,
    /// Orders to which lines may be added.
    pub open: u64,
    /// Orders that are confirmed and not shipped yet.
    pub confirmed: u64,
    /// Orders that are shipped.
    pub shipped: u64,
    /// Orders that are cancelled.
    pub cancelled: u64,
    /// Orders that are rejected, because a sku could not be reserved.
    pub rejected: u64,
    /// The price of all confirmed and shipped orders, in cents.
    pub total_cents: Amount,
    /// The price of all orders that were cancelled after they had been confirmed, in cents.
    pub cancelled_cents: Amount,
    /// The price of all orders that were rejected, in cents.
    pub rejected_cents: Amount,
    /// When the latest order was created.
    pub last_order_at: Moment,
    /// When an order was last created, confirmed, shipped, cancelled or rejected.
    pub updated_at: Moment,
}

impl Projection for CustomerTotals {
    const NAME: &'static str = "customer-totals";
    const VERSION: u32 = 2;
    type Document = CustomerTotal;

    fn fields() -> Fields {
        Fields::none().text("customer").integer("orders").integer("open").integer("total_cents").text("last_order_at")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Order>()
    }
}

impl Project<Order> for CustomerTotals {
    fn keys(event: &Event<'_, Order>) -> Keys {
        let was = match event.body() {
            OrderEvent::OrderCreated { customer, .. } => return Keys::one(key(customer)),
            OrderEvent::LineAdded { .. } | OrderEvent::LineReserved { .. } | OrderEvent::StockReserved {} => &None,
            OrderEvent::OrderConfirmed { was, .. }
            | OrderEvent::OrderRejected { was, .. }
            | OrderEvent::OrderShipped { was, .. }
            | OrderEvent::OrderCancelled { was, .. } => was,
        };
        was.as_ref().map_or_else(Keys::none, |was| Keys::one(key(&was.customer)))
    }

    fn project(current: Option<CustomerTotal>, event: &Event<'_, Order>, _: &Key) -> Option<CustomerTotal> {
        let now = Moment::from(event.recorded_at());
        let mut total = match (current, event.body()) {
            (Some(total), _) => total,
            (None, OrderEvent::OrderCreated { customer, .. }) => CustomerTotal::new(customer.clone(), now),
            // A customer without a document has no order, so the event is of an order whose creation is not in this
            // build.
            (None, _) => return None,
        };
        match event.body() {
            OrderEvent::OrderCreated { .. } => {
                total.orders += 1;
                total.open += 1;
                // The clocks of two nodes may differ, so an earlier event may have a later time.
                total.last_order_at = total.last_order_at.max(now);
            }
            OrderEvent::LineAdded { .. } | OrderEvent::LineReserved { .. } | OrderEvent::StockReserved {} => {}
            OrderEvent::OrderConfirmed { total_cents, was, .. } => {
                total.leave(was.as_ref());
                total.confirmed += 1;
                total.total_cents = total.total_cents.plus(*total_cents);
            }
            OrderEvent::OrderShipped { was, .. } => {
                total.leave(was.as_ref());
                total.shipped += 1;
            }
            OrderEvent::OrderCancelled { was, .. } => {
                total.leave(was.as_ref());
                total.cancelled += 1;
                if let Some(agreed) = was.as_ref().and_then(OrderSummary::agreed_cents) {
                    total.total_cents = total.total_cents.minus(agreed);
                    total.cancelled_cents = total.cancelled_cents.plus(agreed);
                }
            }
            OrderEvent::OrderRejected { was, .. } => {
                total.leave(was.as_ref());
                total.rejected += 1;
                if let Some(agreed) = was.as_ref().and_then(OrderSummary::agreed_cents) {
                    total.total_cents = total.total_cents.minus(agreed);
                    total.rejected_cents = total.rejected_cents.plus(agreed);
                }
            }
        }
        total.updated_at = total.updated_at.max(now);
        Some(total)
    }
}

impl CustomerTotal {
    fn new(customer: Text, now: Moment) -> Self {
        Self {
            customer,
            orders: 0,
            open: 0,
            confirmed: 0,
            shipped: 0,
            cancelled: 0,
            rejected: 0,
            total_cents: Amount::default(),
            cancelled_cents: Amount::default(),
            rejected_cents: Amount::default(),
            last_order_at: now,
            updated_at: now,
        }
    }

    /// Counts one order less in its former status.
    fn leave(&mut self, was: Option<&OrderSummary>) {
        let count = match was.map(|was| was.status) {
            Some(OrderStatus::Open) => &mut self.open,
            Some(OrderStatus::Confirmed) => &mut self.confirmed,
            Some(OrderStatus::Shipped) => &mut self.shipped,
            Some(OrderStatus::Cancelled) => &mut self.cancelled,
            Some(OrderStatus::Rejected) => &mut self.rejected,
            None => return,
        };
        // The event that gave the order this status may have been ignored, because an older version wrote it.
        *count = count.saturating_sub(1);
    }
}

/// The customer's name, if it is short enough; otherwise its beginning and its hash. Such a key is longer than any name
/// that is used as it is, so no other customer has it.
fn key(customer: &Text) -> String {
    let name = customer.as_str();
    if name.len() <= CUSTOMER_KEY_BYTES {
        return name.to_owned();
    }
    let hash = blake3::hash(name.as_bytes()).to_hex();
    format!("{}…{}", &name[..name.floor_char_boundary(CUSTOMER_KEY_BYTES)], &hash[..32])
}

#[cfg(test)]
mod tests {
    use dormouse_projections::Given;

    use super::*;
    use crate::commerce::stories::{
        at, cancelled, cents, confirmed, created, created_by, line, line_added, line_reserved, rejected, shipped,
        stock_reserved, text, was, was_of,
    };

    fn ada() -> CustomerTotal {
        CustomerTotal { orders: 1, open: 1, ..CustomerTotal::new(text("Ada"), at(1).into()) }
    }

    fn ada_at(second: i64) -> CustomerTotal {
        CustomerTotal { updated_at: at(second).into(), ..ada() }
    }

    #[test]
    fn a_created_order_is_counted_without_its_price() {
        Given::<CustomerTotals>::nothing()
            .at(at(1))
            .when::<Order>("o-1", [created([line("tea", 2, 350)])])
            .then("Ada", &ada())
            .at(at(2))
            .when::<Order>("o-2", [created([line("cup", 1, 1200)])])
            .then("Ada", &CustomerTotal { orders: 2, open: 2, last_order_at: at(2).into(), ..ada_at(2) });
    }

    #[test]
    fn a_line_changes_nothing_before_the_order_is_confirmed() {
        Given::<CustomerTotals>::nothing()
            .at(at(1))
            .when::<Order>("o-1", [created([line("tea", 2, 350)])])
            .at(at(2))
            .when::<Order>("o-1", [line_added(line("cup", 1, 1200))])
            .then("Ada", &ada());
    }

    #[test]
    fn a_confirmed_order_adds_its_price() {
        Given::<CustomerTotals>::nothing()
            .at(at(1))
            .when::<Order>("o-1", [created([line("tea", 2, 350)])])
            .at(at(2))
            .when::<Order>("o-1", [confirmed(700)])
            .then("Ada", &CustomerTotal { open: 0, confirmed: 1, total_cents: 700.into(), ..ada_at(2) });
    }

    #[test]
    fn a_shipped_order_keeps_its_price() {
        Given::<CustomerTotals>::nothing()
            .at(at(1))
            .when::<Order>("o-1", [created([line("tea", 2, 350)]), confirmed(700)])
            .at(at(3))
            .when::<Order>("o-1", [shipped(700)])
            .then("Ada", &CustomerTotal { open: 0, shipped: 1, total_cents: 700.into(), ..ada_at(3) });
    }

    #[test]
    fn a_cancelled_open_order_has_no_price() {
        Given::<CustomerTotals>::nothing()
            .at(at(1))
            .when::<Order>("o-1", [created([line("tea", 2, 350)])])
            .at(at(2))
            .when::<Order>("o-1", [cancelled(was(OrderStatus::Open, 700))])
            .then("Ada", &CustomerTotal { open: 0, cancelled: 1, ..ada_at(2) });
    }

    #[test]
    fn the_price_of_a_confirmed_order_is_subtracted_when_it_is_cancelled() {
        Given::<CustomerTotals>::nothing()
            .at(at(1))
            .when::<Order>("o-1", [created([line("tea", 2, 350)]), confirmed(700)])
            .at(at(2))
            .when::<Order>("o-1", [cancelled(was(OrderStatus::Confirmed, 700))])
            .then("Ada", &CustomerTotal { open: 0, cancelled: 1, cancelled_cents: 700.into(), ..ada_at(2) });
    }

    #[test]
    fn a_reservation_changes_nothing() {
        let confirmed_order = CustomerTotal { open: 0, confirmed: 1, total_cents: 700.into(), ..ada_at(1) };
        Given::<CustomerTotals>::nothing()
            .at(at(1))
            .when::<Order>("o-1", [created([line("tea", 2, 350)]), confirmed(700)])
            .at(at(2))
            .when::<Order>("o-1", [line_reserved(), stock_reserved()])
            .then("Ada", &confirmed_order);
    }

    #[test]
    fn the_price_of_an_order_is_subtracted_when_it_is_rejected() {
        Given::<CustomerTotals>::nothing()
            .at(at(1))
            .when::<Order>("o-1", [created([line("tea", 2, 350)]), confirmed(700)])
            .at(at(2))
            .when::<Order>("o-1", [rejected(700)])
            .then("Ada", &CustomerTotal { open: 0, rejected: 1, rejected_cents: 700.into(), ..ada_at(2) });
    }

    #[test]
    fn each_customer_has_a_document() {
        Given::<CustomerTotals>::nothing()
            .at(at(1))
            .when::<Order>("o-1", [created([line("tea", 2, 350)])])
            .when::<Order>("o-2", [created_by("Grace", [line("tea", 1, 350)])])
            .at(at(2))
            .when::<Order>("o-2", [cancelled(was_of("Grace", OrderStatus::Open, 350))])
            .then_keys(&["Ada", "Grace"])
            .then("Ada", &ada())
            .then("Grace", &CustomerTotal { customer: text("Grace"), open: 0, cancelled: 1, ..ada_at(2) });
    }

    #[test]
    fn an_event_that_does_not_name_the_customer_is_ignored() {
        Given::<CustomerTotals>::nothing()
            .at(at(1))
            .when::<Order>("o-1", [created([line("tea", 2, 350)])])
            .at(at(2))
            .when::<Order>("o-1", [cancelled(None)])
            .then("Ada", &ada());
        Given::<CustomerTotals>::nothing()
            .at(at(1))
            .when::<Order>(
                "o-1",
                [
                    created([line("tea", 2, 350)]),
                    OrderEvent::OrderConfirmed { total_cents: cents(700), was: None, reserves: false },
                ],
            )
            .at(at(2))
            .when::<Order>("o-1", [shipped(700)])
            .then("Ada", &CustomerTotal { shipped: 1, ..ada_at(2) });
    }

    #[test]
    fn a_time_does_not_go_back() {
        Given::<CustomerTotals>::nothing()
            .at(at(5))
            .when::<Order>("o-1", [created([line("tea", 2, 350)])])
            .at(at(4))
            .when::<Order>("o-2", [created([line("tea", 2, 350)])])
            .then(
                "Ada",
                &CustomerTotal { orders: 2, open: 2, last_order_at: at(5).into(), updated_at: at(5).into(), ..ada() },
            );
    }

    #[test]
    fn two_customers_with_long_names_have_two_documents() {
        let name = |end: &str| "茶".repeat(499) + end;
        let names = ["a", "b"].map(name);
        let keys = names.each_ref().map(|name| key(&text(name)));
        assert!(names.iter().all(|name| name.len() > 1_024) && keys.iter().all(|key| key.len() < 600));
        assert!(keys[0] != keys[1] && keys[0].starts_with("茶茶") && keys[0].len() > CUSTOMER_KEY_BYTES);
        let given = Given::<CustomerTotals>::nothing().at(at(1));
        let given = given.when::<Order>("o-1", [created_by(&names[0], [line("tea", 1, 1)])]);
        let given = given.when::<Order>("o-2", [created_by(&names[1], [line("tea", 1, 1)])]);
        given
            .then(&keys[0], &CustomerTotal { customer: text(&names[0]), ..ada() })
            .then(&keys[1], &CustomerTotal { customer: text(&names[1]), ..ada() });
    }

    #[test]
    fn a_name_that_fits_is_the_key() {
        let fits = "é".repeat(256);
        assert_eq!(key(&text(&fits)), fits);
        assert_ne!(key(&text(&(fits.clone() + "x"))), fits + "x");
    }
}

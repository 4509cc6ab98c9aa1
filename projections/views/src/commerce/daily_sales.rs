//! The sales of each day.

use dormouse_aggregates::commerce::{Order, OrderEvent, OrderSummary};
use dormouse_projections::{Event, Fields, Key, Keys, Project, Projection, Sources};
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::amount::Amount;
use crate::Moment;

/// The view `daily-sales`: one document for each day in UTC on which an order was created, confirmed, shipped,
/// cancelled or rejected. The key is the date (`2026-11-21`).
///
/// Each event counts on its own day. So a cancellation lowers the revenue of the day of the cancellation, and not of
/// the day of the sale, as in any ledger: the numbers of a past day never change. The same is true of a rejection.
#[derive(Clone, Copy, Debug)]
pub struct DailySales;

/// The sales of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SalesOfDay {
    /// The day, in UTC.
    pub day: Date,
    /// Orders that were created.
    pub placed: u64,
    /// Orders that were confirmed, and so sold.
    pub confirmed: u64,
    /// Orders that were shipped.
    pub shipped: u64,
    /// Orders that were cancelled, whenever they had been created.
    pub cancelled: u64,
    /// Orders that were rejected, because a sku could not be reserved.
    pub rejected: u64,
    /// The price of the orders that were confirmed on this day, in cents.
    pub sold_cents: Amount,
    /// The price of the orders that were cancelled on this day after they had been confirmed, in cents. A cancellation
    /// that an older version recorded, without the state of the order, does not count here.
    pub cancelled_cents: Amount,
    /// The price of the orders that were rejected on this day, in cents.
    pub rejected_cents: Amount,
    /// `sold_cents` minus `cancelled_cents` and `rejected_cents`. It is negative if they are more than was sold.
    pub revenue_cents: Amount,
}

impl Projection for DailySales {
    const NAME: &'static str = "daily-sales";
    const VERSION: u32 = 2;
    type Document = SalesOfDay;

    fn fields() -> Fields {
        Fields::none().text("day").integer("placed").integer("revenue_cents")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Order>()
    }
}

impl Project<Order> for DailySales {
    fn keys(event: &Event<'_, Order>) -> Keys {
        match event.body() {
            OrderEvent::LineAdded { .. } | OrderEvent::LineReserved { .. } | OrderEvent::StockReserved {} => {
                Keys::none()
            }
            _ => Keys::one(Moment::from(event.recorded_at()).day().to_string()),
        }
    }

    fn project(current: Option<SalesOfDay>, event: &Event<'_, Order>, _: &Key) -> Option<SalesOfDay> {
        let day = Moment::from(event.recorded_at()).day();
        let mut sales = current.unwrap_or_else(|| SalesOfDay::none(day));
        match event.body() {
            OrderEvent::OrderCreated { .. } => sales.placed += 1,
            OrderEvent::LineAdded { .. } | OrderEvent::LineReserved { .. } | OrderEvent::StockReserved {} => {}
            OrderEvent::OrderConfirmed { total_cents, .. } => {
                sales.confirmed += 1;
                sales.sold_cents = sales.sold_cents.plus(*total_cents);
                sales.revenue_cents = sales.revenue_cents.plus(*total_cents);
            }
            OrderEvent::OrderShipped { .. } => sales.shipped += 1,
            OrderEvent::OrderCancelled { was, .. } => {
                sales.cancelled += 1;
                if let Some(agreed) = was.as_ref().and_then(OrderSummary::agreed_cents) {
                    sales.cancelled_cents = sales.cancelled_cents.plus(agreed);
                    sales.revenue_cents = sales.revenue_cents.minus(agreed);
                }
            }
            OrderEvent::OrderRejected { was, .. } => {
                sales.rejected += 1;
                if let Some(agreed) = was.as_ref().and_then(OrderSummary::agreed_cents) {
                    sales.rejected_cents = sales.rejected_cents.plus(agreed);
                    sales.revenue_cents = sales.revenue_cents.minus(agreed);
                }
            }
        }
        Some(sales)
    }
}

impl SalesOfDay {
    fn none(day: Date) -> Self {
        Self {
            day,
            placed: 0,
            confirmed: 0,
            shipped: 0,
            cancelled: 0,
            rejected: 0,
            sold_cents: Amount::default(),
            cancelled_cents: Amount::default(),
            rejected_cents: Amount::default(),
            revenue_cents: Amount::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_aggregates::commerce::OrderStatus;
    use dormouse_kernel::Timestamp;
    use dormouse_projections::Given;

    use super::*;
    use crate::commerce::stories::{
        cancelled, confirmed, created, line, line_added, line_reserved, rejected, shipped, stock_reserved, was,
    };

    const FRIDAY: &str = "2026-11-20";
    const SATURDAY: &str = "2026-11-21";

    fn sales(day: &str) -> SalesOfDay {
        SalesOfDay::none(day.parse().unwrap())
    }

    fn noon(day: &str) -> Timestamp {
        format!("{day}T12:00:00Z").parse().unwrap()
    }

    fn given_order() -> Given<DailySales> {
        let given = Given::nothing().at(noon(FRIDAY)).when::<Order>("o-1", [created([line("tea", 2, 350)])]);
        given.then(FRIDAY, &SalesOfDay { placed: 1, ..sales(FRIDAY) })
    }

    #[test]
    fn an_order_is_placed_on_one_day_and_sold_and_shipped_on_others() {
        given_order()
            .at(noon(SATURDAY))
            .when::<Order>("o-1", [confirmed(700)])
            .then(
                SATURDAY,
                &SalesOfDay { confirmed: 1, sold_cents: 700.into(), revenue_cents: 700.into(), ..sales(SATURDAY) },
            )
            .at(noon("2026-11-22"))
            .when::<Order>("o-1", [shipped(700)])
            .then("2026-11-22", &SalesOfDay { shipped: 1, ..sales("2026-11-22") })
            .then(FRIDAY, &SalesOfDay { placed: 1, ..sales(FRIDAY) })
            .then_keys(&[FRIDAY, SATURDAY, "2026-11-22"]);
    }

    #[test]
    fn a_sale_that_is_cancelled_lowers_the_day_on_which_it_is_cancelled() {
        let sold =
            SalesOfDay { placed: 1, confirmed: 1, sold_cents: 700.into(), revenue_cents: 700.into(), ..sales(FRIDAY) };
        given_order()
            .when::<Order>("o-1", [confirmed(700)])
            .then(FRIDAY, &sold)
            .at(noon(SATURDAY))
            .when::<Order>("o-1", [cancelled(was(OrderStatus::Confirmed, 700))])
            .then(FRIDAY, &sold)
            .then(
                SATURDAY,
                &SalesOfDay {
                    cancelled: 1,
                    cancelled_cents: 700.into(),
                    revenue_cents: (-700).into(),
                    ..sales(SATURDAY)
                },
            );
    }

    #[test]
    fn a_sale_that_is_rejected_lowers_the_day_on_which_it_is_rejected() {
        given_order()
            .when::<Order>("o-1", [confirmed(700)])
            .at(noon(SATURDAY))
            .when::<Order>("o-1", [rejected(700)])
            .then(
                SATURDAY,
                &SalesOfDay {
                    rejected: 1,
                    rejected_cents: 700.into(),
                    revenue_cents: (-700).into(),
                    ..sales(SATURDAY)
                },
            );
    }

    #[test]
    fn an_order_that_was_never_sold_is_cancelled_without_a_price() {
        for past in [was(OrderStatus::Open, 700), None] {
            given_order()
                .at(noon(SATURDAY))
                .when::<Order>("o-1", [cancelled(past)])
                .then(SATURDAY, &SalesOfDay { cancelled: 1, ..sales(SATURDAY) });
        }
    }

    #[test]
    fn added_and_reserved_lines_are_no_sales() {
        let added = line_added(line("cup", 1, 1200));
        let given = given_order().at(noon(SATURDAY)).when::<Order>("o-1", [added]);
        given.when::<Order>("o-1", [line_reserved(), stock_reserved()]).then_keys(&[FRIDAY]);
    }

    #[test]
    fn a_day_ends_at_midnight_in_utc() {
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        Given::<DailySales>::nothing()
            .at(at("2026-11-20T23:59:59.999999Z"))
            .when::<Order>("o-1", [created([line("tea", 2, 350)])])
            .at(at("2026-11-21T00:00:00Z"))
            .when::<Order>("o-2", [created([line("tea", 2, 350)])])
            .when::<Order>("o-3", [created([line("tea", 2, 350)])])
            .then(FRIDAY, &SalesOfDay { placed: 1, ..sales(FRIDAY) })
            .then(SATURDAY, &SalesOfDay { placed: 2, ..sales(SATURDAY) });
    }
}

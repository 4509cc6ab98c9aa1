//! Properties that hold after any history of the domain. What each view must contain is calculated from the states of
//! the aggregates, not from events.

use std::collections::BTreeMap;

use dormouse_aggregates::commerce::{Inventory, Order, OrderStatus, Reservation};
use dormouse_kernel::{AggregateId, Timestamp};
use dormouse_views::Moment;
use dormouse_views::commerce::{
    Amount, CustomerTotal, CustomerTotals, DailySales, InventoryLevel, InventoryLevels, Orders, PlacedOrder, SalesOfDay,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::shop::{Change, Shop, holds, requests};

proptest! {
    #[test]
    fn the_view_has_the_present_state_of_each_order(requests in requests()) {
        let shop = Shop::after(requests);
        let mut expected = BTreeMap::new();
        for (id, changes) in by_id(&shop.orders) {
            let order = &changes.last().unwrap().after;
            let became = |status| changes.iter().find(|change| became(change, status)).map(|change| moment(change.at));
            let reserved = |order: &Order| order.reservation == Some(Reservation::Reserved);
            let reserved = changes.iter().find(|change| !reserved(&change.before) && reserved(&change.after));
            expected.insert(id.to_owned(), PlacedOrder {
                owner: order.owner.clone(),
                order: AggregateId::new(id).unwrap(),
                status: order.status.unwrap(),
                customer: order.customer.clone().unwrap(),
                email: order.email.clone().unwrap(),
                lines: order.lines.clone(),
                total_cents: order.total_cents,
                tracking: order.tracking.clone(),
                cancelled_because: order.cancelled_because.clone(),
                rejected_because: order.rejected_because.clone(),
                reservation: order.reservation,
                placed_at: became(OrderStatus::Open).unwrap(),
                confirmed_at: became(OrderStatus::Confirmed),
                reserved_at: reserved.map(|change| moment(change.at)),
                shipped_at: became(OrderStatus::Shipped),
                cancelled_at: became(OrderStatus::Cancelled),
                rejected_at: became(OrderStatus::Rejected),
                updated_at: moment(changes.last().unwrap().at),
            });
        }
        holds(shop.seen_by_orders::<Orders>(), &expected);
    }

    #[test]
    fn the_totals_of_each_customer_are_those_of_the_orders(requests in requests()) {
        let shop = Shop::after(requests);
        let mut expected = BTreeMap::new();
        let customer = |change: &Change<Order>| change.after.customer.clone().unwrap();
        for name in shop.orders.iter().map(customer) {
            let orders = by_id(&shop.orders);
            let own: Vec<_> = orders.values().filter(|changes| customer(changes[0]) == name).collect();
            let last = |changes: &[&Change<Order>]| changes.last().unwrap().after.clone();
            let now = |status| own.iter().filter(|changes| last(changes).status == Some(status)).count() as u64;
            // Only orders that were confirmed at some time count with their price.
            let worth = |wanted: &[OrderStatus]| {
                let agreed = own.iter().filter(|changes| {
                    let confirmed = changes.iter().any(|change| became(change, OrderStatus::Confirmed));
                    confirmed && wanted.contains(&last(changes).status.unwrap())
                });
                amount(agreed.map(|changes| cents(&last(changes))).sum())
            };
            let moves = || own.iter().flat_map(|changes| changes.iter()).filter(|change| moved(change));
            let begun = moves().filter(|change| became(change, OrderStatus::Open));
            expected.insert(name.to_string(), CustomerTotal {
                customer: name,
                orders: own.len() as u64,
                open: now(OrderStatus::Open),
                confirmed: now(OrderStatus::Confirmed),
                shipped: now(OrderStatus::Shipped),
                cancelled: now(OrderStatus::Cancelled),
                rejected: now(OrderStatus::Rejected),
                total_cents: worth(&[OrderStatus::Confirmed, OrderStatus::Shipped]),
                cancelled_cents: worth(&[OrderStatus::Cancelled]),
                rejected_cents: worth(&[OrderStatus::Rejected]),
                last_order_at: moment(begun.map(|change| change.at).max().unwrap()),
                updated_at: moment(moves().map(|change| change.at).max().unwrap()),
            });
        }
        holds(shop.seen_by_orders::<CustomerTotals>(), &expected);
    }

    #[test]
    fn each_day_has_the_changes_of_orders_on_that_day(requests in requests()) {
        let shop = Shop::after(requests);
        let mut days: BTreeMap<String, Vec<&Change<Order>>> = BTreeMap::new();
        for change in shop.orders.iter().filter(|change| moved(change)) {
            let date = change.at.to_string().split('T').next().unwrap().to_owned();
            days.entry(date).or_default().push(change);
        }
        let expected = days.into_iter().map(|(date, changes)| {
            let count = |status| changes.iter().filter(|change| became(change, status)).count() as u64;
            let sold = changes.iter().filter(|change| became(change, OrderStatus::Confirmed));
            let sold: i64 = sold.map(|change| cents(&change.after)).sum();
            let lost = |status| {
                let sales = changes.iter().filter(move |change| {
                    became(change, status) && change.before.status == Some(OrderStatus::Confirmed)
                });
                sales.map(|change| cents(&change.after)).sum::<i64>()
            };
            let (cancelled, rejected) = (lost(OrderStatus::Cancelled), lost(OrderStatus::Rejected));
            let sales = SalesOfDay {
                day: date.parse().unwrap(),
                placed: count(OrderStatus::Open),
                confirmed: count(OrderStatus::Confirmed),
                shipped: count(OrderStatus::Shipped),
                cancelled: count(OrderStatus::Cancelled),
                rejected: count(OrderStatus::Rejected),
                sold_cents: amount(sold),
                cancelled_cents: amount(cancelled),
                rejected_cents: amount(rejected),
                revenue_cents: amount(sold - cancelled - rejected),
            };
            (date, sales)
        });
        holds(shop.seen_by_orders::<DailySales>(), &expected.collect());
    }

    #[test]
    fn the_view_has_the_present_stock_of_each_sku(requests in requests()) {
        let shop = Shop::after(requests);
        let expected = by_id(&shop.inventories).into_iter().map(|(id, changes)| {
            let Change { after: inventory, at, .. } = changes.last().unwrap();
            let promised: u64 = inventory.reservations.values().map(|pieces| u64::from(pieces.get())).sum();
            let level = InventoryLevel {
                sku: AggregateId::new(id).unwrap(),
                on_hand: inventory.on_hand,
                reserved: promised,
                available: inventory.on_hand - promised,
                reservations: inventory.reservations.len() as u64,
                low_stock: inventory.on_hand < promised + 10,
                updated_at: moment(*at),
            };
            (id.to_owned(), level)
        });
        holds(shop.seen_by_inventories::<InventoryLevels>(), &expected.collect());
    }
}

/// The random histories of these tests reach every status, and contain sales and cancelled sales.
#[test]
fn random_requests_reach_every_status() {
    let mut runner = TestRunner::deterministic();
    let (mut reached, mut lost, mut settled) = (Vec::new(), 0, 0);
    for _ in 0..128 {
        let shop = Shop::after(requests().new_tree(&mut runner).unwrap().current());
        reached.extend(shop.orders.iter().filter_map(|change| change.after.status));
        lost += shop
            .orders
            .iter()
            .filter(|change| {
                became(change, OrderStatus::Cancelled) && change.before.status == Some(OrderStatus::Confirmed)
            })
            .count();
        let fewer = |change: &&Change<Inventory>| change.after.reservations.len() < change.before.reservations.len();
        settled += shop.inventories.iter().filter(fewer).count();
    }
    let all = [
        OrderStatus::Open,
        OrderStatus::Confirmed,
        OrderStatus::Shipped,
        OrderStatus::Cancelled,
        OrderStatus::Rejected,
    ];
    for status in all {
        assert!(reached.iter().filter(|reached| **reached == status).count() > 20, "{status}");
    }
    assert!(lost > 20 && settled > 20, "{lost} {settled}");
}

fn by_id<A>(changes: &[Change<A>]) -> BTreeMap<&'static str, Vec<&Change<A>>> {
    let mut by_id: BTreeMap<_, Vec<_>> = BTreeMap::new();
    changes.iter().for_each(|change| by_id.entry(change.id).or_default().push(change));
    by_id
}

/// Whether the change gave the order another status.
fn moved(change: &Change<Order>) -> bool {
    change.before.status != change.after.status
}

fn became(change: &Change<Order>, status: OrderStatus) -> bool {
    moved(change) && change.after.status == Some(status)
}

fn cents(order: &Order) -> i64 {
    i64::try_from(order.total_cents.get()).unwrap()
}

fn amount(cents: i64) -> Amount {
    Amount::from(cents)
}

fn moment(at: Timestamp) -> Moment {
    Moment::from(at)
}

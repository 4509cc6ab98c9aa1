//! Properties of orders that reserve their stock by messages, whatever the order of delivery is.

use std::collections::BTreeMap;

use dormouse_aggregates::commerce::{
    Cents, Email, InventoryCommand, NewLine, Order, OrderCommand, OrderId, OrderStatus, Quantity, Reservation, Sku,
    Text,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::bus::Shop;

const ORDERS: [&str; 4] = ["o-1", "o-2", "o-3", "o-4"];
const SKUS: [&str; 3] = ["cup", "pot", "tea"];

/// What happens next in a shop.
#[derive(Clone, Debug)]
enum Step {
    Order(&'static str, OrderCommand),
    Stock(&'static str, i64),
    /// A message is delivered. The number selects which one.
    Delivery(usize),
}

/// A history, and the order in which the messages are delivered that are left at its end.
type History = (Vec<Step>, Vec<usize>);

/// A shop after a history, and how many pieces of each sku came in.
fn after((steps, rest): &History) -> (Shop, BTreeMap<&'static str, i64>) {
    let (mut shop, mut delivered) = (Shop::default(), BTreeMap::new());
    for step in steps {
        match step.clone() {
            // A command that the domain refuses changes nothing.
            Step::Order(id, command) => _ = shop.order(id, command),
            Step::Stock(sku, change) => {
                if shop.inventory(sku, InventoryCommand::UpdateInventory { change, reason: text() }).is_ok() {
                    *delivered.entry(sku).or_default() += change;
                }
            }
            Step::Delivery(choice) => _ = shop.deliver(choice),
        }
        for (sku, inventory) in &shop.inventories {
            assert!(inventory.reserved <= inventory.on_hand, "{sku} is promised twice: {inventory:?}");
        }
    }
    shop.deliver_all(rest);
    (shop, delivered)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn stock_is_conserved_and_no_order_ends_half_reserved(history in history()) {
        let (shop, delivered) = after(&history);
        for (id, order) in &shop.orders {
            prop_assert_ne!(order.reservation, Some(Reservation::Pending), "{} waits for ever: {:?}", id, order);
            let is_reserved = order.reservation == Some(Reservation::Reserved);
            prop_assert_eq!(order.status == Some(OrderStatus::Confirmed), is_reserved, "{}: {:?}", id, order);
            prop_assert_eq!(order.status == Some(OrderStatus::Rejected), order.rejected_because.is_some());
        }
        for sku in SKUS {
            let pieces = |status| shop.orders.values().filter(move |order| order.status == Some(status))
                .map(|order| pieces(order, sku)).sum::<i64>();
            let inventory = shop.inventories.iter().find(|(id, _)| id.as_str() == sku).map(|(_, inventory)| inventory);
            let inventory = inventory.cloned().unwrap_or_default();
            let came_in = delivered.get(sku).copied().unwrap_or_default();
            prop_assert_eq!(inventory.on_hand as i64, came_in - pieces(OrderStatus::Shipped), "{}", sku);
            let held: BTreeMap<OrderId, Quantity> = shop.orders.iter()
                .filter(|(_, order)| order.status == Some(OrderStatus::Confirmed) && self::pieces(order, sku) > 0)
                .map(|(id, order)| (OrderId::from(id), quantity(self::pieces(order, sku))))
                .collect();
            prop_assert_eq!(inventory.reserved as i64, pieces(OrderStatus::Confirmed), "{}", sku);
            prop_assert_eq!(inventory.reservations, held, "{}", sku);
        }
    }
}

/// The random histories reach every end of an order, and every race between a client and an inventory.
#[test]
fn random_histories_reach_every_end() {
    let mut runner = TestRunner::deterministic();
    let mut ends: BTreeMap<_, usize> = BTreeMap::new();
    for _ in 0..256 {
        let (shop, _) = after(&history().new_tree(&mut runner).unwrap().current());
        for order in shop.orders.values() {
            // An order that ended while inventories had not answered.
            let is_early = order.reservation == Some(Reservation::Released) && !order.awaited.is_empty();
            *ends.entry(format!("{:?}, early: {is_early}", order.status)).or_default() += 1;
        }
    }
    for end in [
        "Some(Open), early: false",
        "Some(Confirmed), early: false",
        "Some(Shipped), early: false",
        "Some(Cancelled), early: false",
        "Some(Cancelled), early: true",
        "Some(Rejected), early: true",
    ] {
        assert!(ends.get(end).is_some_and(|orders| *orders > 10), "{end}: {ends:?}");
    }
}

#[test]
fn an_order_of_500_skus_is_reserved_and_then_shipped_cancelled_or_rejected() {
    let name = |number: usize| format!("sku-{number:03}");
    let lines: Vec<NewLine> = (0..500).map(|number| line(&name(number), 2)).collect();
    let placed = |stock_of_the_last: i64| {
        let mut shop = Shop::default();
        for number in 0..500 {
            let change = if number == 499 { stock_of_the_last } else { 3 };
            shop.inventory(&name(number), InventoryCommand::UpdateInventory { change, reason: text() }).unwrap();
        }
        shop.order("o-1", create(lines.clone())).unwrap();
        shop.order("o-1", OrderCommand::ConfirmOrder).unwrap();
        shop.deliver_all(&[0, 3, 1, 7]);
        shop
    };
    let stock = |shop: &Shop| {
        let sum = |pieces: fn(&dormouse_aggregates::commerce::Inventory) -> u64| {
            shop.inventories.values().map(pieces).sum::<u64>()
        };
        (sum(|inventory| inventory.on_hand), sum(|inventory| inventory.reserved))
    };
    let status = |shop: &Shop| shop.orders.values().next().unwrap().status;

    assert_eq!((status(&placed(3)), stock(&placed(3))), (Some(OrderStatus::Confirmed), (1500, 1000)));
    for (command, left) in [(ship(), (500, 0)), (cancel(), (1500, 0))] {
        let mut shop = placed(3);
        shop.order("o-1", command).unwrap();
        shop.deliver_all(&[5, 0]);
        assert_eq!(stock(&shop), left);
    }
    assert_eq!((status(&placed(1)), stock(&placed(1))), (Some(OrderStatus::Rejected), (1498, 0)));
}

/// How many pieces of a sku an order needs.
fn pieces(order: &Order, sku: &str) -> i64 {
    order.lines.iter().filter(|line| line.sku.as_str() == sku).map(|line| i64::from(line.quantity.get())).sum()
}

fn history() -> impl Strategy<Value = History> {
    let order = select(&ORDERS);
    let lines = vec((select(&SKUS), 1..=6i64).prop_map(|(sku, pieces)| line(sku, pieces)), 1..5);
    let command = prop_oneof![
        4 => lines.prop_map(create),
        6 => Just(OrderCommand::ConfirmOrder),
        3 => Just(ship()),
        2 => Just(cancel()),
    ];
    let step = prop_oneof![
        3 => (order, command).prop_map(|(id, command)| Step::Order(id, command)),
        1 => (select(&SKUS), -4..=16i64).prop_map(|(sku, change)| Step::Stock(sku, change)),
        6 => any::<usize>().prop_map(Step::Delivery),
    ];
    (vec(step, 0..160), vec(any::<usize>(), 1..20))
}

fn create(lines: Vec<NewLine>) -> OrderCommand {
    OrderCommand::CreateOrder { customer: text(), email: Email::new("ada@example.org").expect("an address"), lines }
}

fn ship() -> OrderCommand {
    OrderCommand::ShipOrder { tracking: text() }
}

fn cancel() -> OrderCommand {
    OrderCommand::CancelOrder { reason: text() }
}

fn line(sku: &str, pieces: i64) -> NewLine {
    let (sku, unit_price_cents) = (Sku::new(sku).expect("a sku"), Cents::new(350).expect("a price"));
    NewLine { sku, quantity: quantity(pieces), unit_price_cents }
}

fn quantity(pieces: i64) -> Quantity {
    Quantity::new(pieces).expect("a quantity")
}

fn text() -> Text {
    Text::new("said").expect("a text")
}

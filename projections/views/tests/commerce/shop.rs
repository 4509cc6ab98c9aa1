//! A shop: real orders and inventories that decide on random commands while time passes.

use std::collections::BTreeMap;

use dormouse_aggregates::commerce::{
    Cents, Email, Inventory, InventoryCommand, InventoryEvent, NewLine, Order, OrderCommand, OrderEvent, OrderId,
    Quantity, Sku, Text,
};
use dormouse_kernel::{Aggregate, AggregateId, Context, Refusal, SequentialIds, Timestamp, Version};
use dormouse_projections::{Given, Project, Projection};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Requests to the shop, each with the microseconds since the previous one.
pub(crate) type Requests = Vec<(i64, Request)>;

/// A command for one aggregate.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Order(&'static str, OrderCommand),
    Inventory(&'static str, InventoryCommand),
}

/// A command that led to events, with the states of the aggregate before and after it. They are known without its
/// events.
pub(crate) struct Change<A> {
    pub(crate) id: &'static str,
    pub(crate) at: Timestamp,
    pub(crate) before: A,
    pub(crate) after: A,
}

/// The history of a shop.
#[derive(Default)]
pub(crate) struct Shop {
    pub(crate) orders: Vec<Change<Order>>,
    pub(crate) inventories: Vec<Change<Inventory>>,
    events: Vec<(Timestamp, &'static str, Happened)>,
}

enum Happened {
    Order(OrderEvent),
    Inventory(InventoryEvent),
}

impl Shop {
    /// A shop after these requests. The domain refuses some of them.
    pub(crate) fn after(requests: Requests) -> Self {
        let mut shop = Self::default();
        let mut now = Timestamp::from_second(1_795_000_000).unwrap();
        for (microseconds, request) in requests {
            now = Timestamp::from_microsecond(now.as_microsecond() + microseconds).unwrap();
            match request {
                Request::Order(id, command) => {
                    let events = decide(id, command, now, &mut shop.orders);
                    shop.events.extend(events.into_iter().map(|event| (now, id, Happened::Order(event))));
                }
                Request::Inventory(id, command) => {
                    let events = decide(id, command, now, &mut shop.inventories);
                    shop.events.extend(events.into_iter().map(|event| (now, id, Happened::Inventory(event))));
                }
            }
        }
        shop
    }

    /// The view of the orders' events.
    pub(crate) fn seen_by_orders<P: Project<Order>>(&self) -> Given<P> {
        self.events.iter().fold(Given::nothing(), |given, (at, id, happened)| match happened {
            Happened::Order(event) => given.at(*at).when::<Order>(id, [event.clone()]),
            Happened::Inventory(_) => given,
        })
    }

    /// The view of the inventories' events.
    pub(crate) fn seen_by_inventories<P: Project<Inventory>>(&self) -> Given<P> {
        self.events.iter().fold(Given::nothing(), |given, (at, id, happened)| match happened {
            Happened::Inventory(event) => given.at(*at).when::<Inventory>(id, [event.clone()]),
            Happened::Order(_) => given,
        })
    }
}

/// Checks that the view has exactly these documents.
pub(crate) fn holds<P: Projection>(given: Given<P>, expected: &BTreeMap<String, P::Document>)
where
    P::Document: std::fmt::Debug + PartialEq,
{
    let keys: Vec<&str> = expected.keys().map(String::as_str).collect();
    let given = given.then_keys(&keys);
    expected.iter().fold(given, |given, (key, document)| given.then(key, document));
}

fn decide<A: Aggregate>(
    id: &'static str,
    command: A::Command,
    at: Timestamp,
    changes: &mut Vec<Change<A>>,
) -> Vec<A::Event> {
    let before = changes.iter().rfind(|change| change.id == id).map(|change| change.after.clone()).unwrap_or_default();
    let (aggregate, ids) = (AggregateId::new(id).unwrap(), SequentialIds::default());
    // Only one command asks for it.
    let refusal = Refusal { code: "insufficient-stock".to_owned(), detail: "there is none".to_owned() };
    let mut context = Context::new(&aggregate, &before, Version(1), at, &ids).with_refusal(Some(&refusal));
    if before.decide(command, &mut context).is_err() {
        return Vec::new();
    }
    let events = context.into_effects().expect("what is sent is valid").events;
    if events.is_empty() {
        return events;
    }
    let mut after = before.clone();
    events.iter().for_each(|event| after.evolve(event));
    changes.push(Change { id, at, before, after });
    events
}

/// Requests to a few aggregates over several days, so that each aggregate gets many.
pub(crate) fn requests() -> impl Strategy<Value = Requests> {
    const HOUR: i64 = 3_600_000_000;
    let pause = prop_oneof![2 => 0..3i64, 3 => 0..HOUR, 1 => 0..30 * HOUR];
    let order = (select(&["o-1", "o-2", "o-3", "o-4", "o-5"]), order_command());
    let inventory = (select(&["tea", "cup"]), inventory_command());
    let request = prop_oneof![
        2 => order.prop_map(|(id, command)| Request::Order(id, command)),
        1 => inventory.prop_map(|(id, command)| Request::Inventory(id, command)),
    ];
    vec((pause, request), 0..160)
}

fn order_command() -> impl Strategy<Value = OrderCommand> {
    let create = (select(&["Ada", "Grace", "Hedy / Lamarr"]), vec(line(), 1..3));
    prop_oneof![
        3 => create.prop_map(|(customer, lines)| OrderCommand::CreateOrder {
            customer: text(customer),
            email: Email::new("somebody@example.org").unwrap(),
            lines,
        }),
        3 => line().prop_map(|NewLine { sku, quantity, unit_price_cents }| OrderCommand::AddLine {
            sku,
            quantity,
            unit_price_cents,
        }),
        3 => Just(OrderCommand::ConfirmOrder),
        4 => Just(OrderCommand::ShipOrder { tracking: text("1Z999") }),
        1 => Just(OrderCommand::CancelOrder { reason: text("too late") }),
        // The answers of inventories, which these tests do not ask.
        9 => sku().prop_map(|sku| OrderCommand::RecordLineReserved { sku }),
        3 => sku().prop_map(|sku| OrderCommand::RecordLineRefused { sku }),
    ]
}

fn inventory_command() -> impl Strategy<Value = InventoryCommand> {
    let order = || select(&["o-1", "o-2", "o-3"]).prop_map(|id| OrderId::new(id).unwrap());
    prop_oneof![
        3 => (-30..=60i64).prop_map(|change| InventoryCommand::UpdateInventory { change, reason: text("counted") }),
        3 => (order(), quantity()).prop_map(|(order, quantity)| InventoryCommand::ReserveStock { order, quantity }),
        2 => (order(), quantity()).prop_map(|(order, quantity)| InventoryCommand::ReserveLine { order, quantity }),
        1 => order().prop_map(|order| InventoryCommand::ReleaseStock { order }),
        1 => order().prop_map(|order| InventoryCommand::CommitStock { order }),
    ]
}

fn line() -> impl Strategy<Value = NewLine> {
    let price = prop_oneof![9 => 0..=100_000i64, 1 => 0..=1_000_000_000_000_000i64];
    (sku(), quantity(), price).prop_map(|(sku, quantity, cents)| NewLine {
        sku,
        quantity,
        unit_price_cents: Cents::new(cents).unwrap(),
    })
}

fn sku() -> impl Strategy<Value = Sku> {
    select(&["tea", "cup"]).prop_map(|sku| Sku::new(sku).unwrap())
}

fn quantity() -> impl Strategy<Value = Quantity> {
    (1..=20i64).prop_map(|pieces| Quantity::new(pieces).unwrap())
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

//! Properties that hold after any sequence of commands.

use dormouse_aggregates::commerce::{
    Cents, Email, Inventory, InventoryCommand, InventoryEvent, NewLine, Order, OrderCommand, OrderId, OrderStatus,
    Quantity, Sku, StockLevel, Text, limits,
};
use dormouse_kernel::{
    Aggregate, AggregateId, Context, EventCodec, Refusal, SequentialIds, Timestamp, Version, decode, encode,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// An aggregate and its events.
struct Story<A: Aggregate> {
    id: AggregateId,
    state: A,
    events: Vec<A::Event>,
}

impl<A: Aggregate> Story<A> {
    fn new() -> Self {
        let id = AggregateId::new("sku-1").expect("an id");
        Self { id, state: A::default(), events: Vec::new() }
    }

    fn tell(&mut self, command: A::Command) -> Result<A::Reply, A::Rejection> {
        let version = Version(self.events.len() as u64);
        let ids = SequentialIds::default();
        // Only one command asks for it.
        let refusal = Refusal { code: "insufficient-stock".to_owned(), detail: "there is none".to_owned() };
        let mut context = Context::new(&self.id, &self.state, version, Timestamp::UNIX_EPOCH, &ids);
        context = context.with_refusal(Some(&refusal));
        let reply = self.state.decide(command, &mut context)?;
        let events = context.into_effects().expect("effects").events;
        events.iter().for_each(|event| self.state.evolve(event));
        self.events.extend(events);
        Ok(reply)
    }

    /// The state after all events are read from the journal.
    fn replayed(&self) -> A {
        let codec = EventCodec::<A::Event>::new().expect("an enum");
        let mut state = A::default();
        for event in &self.events {
            let stored = codec.encode(event).expect("encodable");
            let read = codec.decode(stored.name, stored.schema_version, &stored.fields).expect("decodable");
            read.as_slice().iter().for_each(|event| state.evolve(event));
        }
        state
    }

    /// The state after it is read from a snapshot.
    fn thawed(&self) -> A {
        decode(&encode(&self.state).expect("encodable")).expect("decodable")
    }
}

proptest! {
    #[test]
    fn an_inventory_never_reserves_more_than_it_has(commands in vec(inventory_command(), 0..100)) {
        let mut story = Story::<Inventory>::new();
        for command in commands {
            let before = story.state.clone();
            let told = story.tell(command);
            let inventory = &story.state;
            let reservations: u64 = inventory.reservations.values().map(|pieces| u64::from(pieces.get())).sum();
            prop_assert!(inventory.reserved <= inventory.on_hand);
            prop_assert!(inventory.on_hand <= limits::ON_HAND);
            prop_assert_eq!(inventory.reserved, reservations);
            match told {
                Ok(level) => prop_assert_eq!(level, StockLevel {
                    on_hand: inventory.on_hand,
                    reserved: inventory.reserved,
                    available: inventory.available(),
                }),
                Err(_) => prop_assert_eq!(inventory, &before),
            }
        }
        // A calculation without reservations: what was added, minus what was removed.
        let booked: i128 = story.events.iter().map(|event| match event {
            InventoryEvent::InventoryUpdated { change, .. } => i128::from(*change),
            InventoryEvent::StockCommitted { quantity, .. } => -i128::from(quantity.get()),
            InventoryEvent::StockReserved { .. } | InventoryEvent::StockReleased { .. } => 0,
        }).sum();
        prop_assert_eq!(i128::from(story.state.on_hand), booked);
        prop_assert_eq!(&story.replayed(), &story.state);
        prop_assert_eq!(&story.thawed(), &story.state);
    }

    #[test]
    fn the_total_of_an_order_is_the_price_of_its_lines(commands in vec(order_command(), 0..60)) {
        let mut story = Story::<Order>::new();
        for command in commands {
            let before = story.state.clone();
            let told = story.tell(command);
            let order = &story.state;
            let sum: u128 = order
                .lines
                .iter()
                .map(|line| u128::from(line.quantity.get()) * u128::from(line.unit_price_cents.get()))
                .sum();
            prop_assert_eq!(u128::from(order.total_cents.get()), sum);
            prop_assert!(order.lines.len() <= limits::ORDER_LINES);
            prop_assert!(order.status.is_none() || !order.lines.is_empty());
            prop_assert!(is_a_step(before.status, order.status), "{:?} → {:?}", before.status, order.status);
            match told {
                Ok(reply) => {
                    prop_assert_eq!(Some(reply.status), order.status);
                    prop_assert_eq!(reply.total_cents, order.total_cents);
                }
                Err(_) => prop_assert_eq!(order, &before),
            }
        }
        prop_assert_eq!(&story.replayed(), &story.state);
        prop_assert_eq!(&story.thawed(), &story.state);
    }
}

fn is_a_step(before: Option<OrderStatus>, after: Option<OrderStatus>) -> bool {
    use OrderStatus::{Cancelled, Confirmed, Open, Rejected, Shipped};

    before == after
        || matches!(
            (before, after),
            (None, Some(Open))
                | (Some(Open), Some(Confirmed | Cancelled))
                | (Some(Confirmed), Some(Shipped | Cancelled | Rejected))
        )
}

fn inventory_command() -> impl Strategy<Value = InventoryCommand> {
    let order = || select(&["a", "b", "c", "d"]).prop_map(|id| OrderId::new(id).expect("an id"));
    let change = prop_oneof![8 => -60..=60i64, 1 => any::<i64>(), 1 => (limits::ON_HAND as i64 - 50)..=i64::MAX];
    prop_oneof![
        3 => change.prop_map(|change| InventoryCommand::UpdateInventory { change, reason: text() }),
        3 => (order(), quantity()).prop_map(|(order, quantity)| InventoryCommand::ReserveStock { order, quantity }),
        2 => (order(), quantity()).prop_map(|(order, quantity)| InventoryCommand::ReserveLine { order, quantity }),
        1 => order().prop_map(|order| InventoryCommand::ReleaseStock { order }),
        1 => order().prop_map(|order| InventoryCommand::CommitStock { order }),
    ]
}

fn order_command() -> impl Strategy<Value = OrderCommand> {
    let lines = prop_oneof![9 => vec(line(), 0..4), 1 => vec(line(), 490..510)];
    prop_oneof![
        3 => lines.prop_map(|lines| OrderCommand::CreateOrder { customer: text(), email: email(), lines }),
        30 => line().prop_map(|NewLine { sku, quantity, unit_price_cents }| OrderCommand::AddLine {
            sku,
            quantity,
            unit_price_cents,
        }),
        1 => Just(OrderCommand::ConfirmOrder),
        1 => Just(OrderCommand::ShipOrder { tracking: text() }),
        1 => Just(OrderCommand::CancelOrder { reason: text() }),
        3 => sku().prop_map(|sku| OrderCommand::RecordLineReserved { sku }),
        1 => sku().prop_map(|sku| OrderCommand::RecordLineRefused { sku }),
    ]
}

fn line() -> impl Strategy<Value = NewLine> {
    let price = prop_oneof![9 => 0..=100_000i64, 1 => 0..=limits::CENTS as i64];
    let price = price.prop_map(|cents| Cents::new(cents).expect("a price"));
    (sku(), quantity(), price).prop_map(|(sku, quantity, unit_price_cents)| NewLine { sku, quantity, unit_price_cents })
}

fn sku() -> impl Strategy<Value = Sku> {
    select(&["tea", "cup"]).prop_map(|sku| Sku::new(sku).expect("a sku"))
}

fn quantity() -> impl Strategy<Value = Quantity> {
    prop_oneof![9 => 1..=40i64, 1 => 1..=1_000_000i64].prop_map(|pieces| Quantity::new(pieces).expect("a quantity"))
}

fn email() -> Email {
    Email::new("ada@example.org").expect("an address")
}

fn text() -> Text {
    Text::new("said").expect("a text")
}

//! The projected events, as an application would have written them.

use std::collections::HashMap;

use anyhow::Result;
use dormouse_aggregates::commerce::{Inventory, InventoryEvent, Order, OrderEvent};
use dormouse_journal::Append;
use dormouse_kernel::{
    Aggregate, AggregateId, AggregateRef, AggregateType, Chain, EventCodec, EventId, Metadata, NewEvent, Timestamp,
    Uuid, Version, encode,
};
use serde_json::json;

/// The customers of the orders.
const CUSTOMERS: usize = 500;

/// Events, one per command, of this many aggregates in a scattered order: of the inventory alone, or half of them of
/// orders.
pub(crate) fn appends(with_orders: bool, events: usize, aggregates: usize) -> Result<Vec<Append>> {
    let (mut inventory, mut orders) = (Writer::<Inventory>::new()?, Writer::<Order>::new()?);
    let append = |number: usize| {
        let aggregate = (number.wrapping_mul(2_654_435_761) >> 7) % aggregates;
        if with_orders && number % 2 == 1 {
            let id = format!("order-{aggregate}");
            let event = order_event(orders.version(&id)?, aggregate % CUSTOMERS)?;
            orders.append(&id, &event)
        } else {
            let event: InventoryEvent =
                serde_json::from_value(json!({"InventoryUpdated": {"change": 1, "reason": "benchmark"}}))?;
            inventory.append(&format!("sku-{aggregate}"), &event)
        }
    };
    (0..events).map(append).collect()
}

/// An order is created, and then confirmed again and again: each time three documents change.
fn order_event(version: Version, customer: usize) -> Result<OrderEvent> {
    let customer = format!("customer-{customer}");
    let lines = json!([{"sku": "tea", "quantity": 2, "unit_price_cents": 350}]);
    Ok(serde_json::from_value(if version == Version::ZERO {
        json!({"OrderCreated": {"customer": customer, "email": "someone@example.org", "lines": lines}})
    } else {
        let was = json!({"customer": customer, "status": "open", "total_cents": 700});
        json!({"OrderConfirmed": {"total_cents": 700, "was": was}})
    })?)
}

/// Writes the events of one aggregate type.
struct Writer<A: Aggregate> {
    codec: EventCodec<A::Event>,
    aggregates: HashMap<AggregateRef, (Version, Chain)>,
    metadata: Vec<u8>,
}

impl<A: Aggregate> Writer<A> {
    fn new() -> Result<Self> {
        let metadata = Metadata {
            event_id: EventId(Uuid::now_v7()),
            correlation: Some("benchmark".to_owned()),
            causation: None,
            subject: None,
            tenant: None,
            traceparent: None,
            outgoing: None,
            command: None,
        };
        Ok(Self { codec: EventCodec::new()?, aggregates: HashMap::new(), metadata: encode(&metadata)? })
    }

    fn version(&self, id: &str) -> Result<Version> {
        Ok(self.aggregates.get(&named::<A>(id)?).map_or(Version::ZERO, |(version, _)| *version))
    }

    fn append(&mut self, id: &str, event: &A::Event) -> Result<Append> {
        let aggregate = named::<A>(id)?;
        let (version, chain) = self.aggregates.entry(aggregate.clone()).or_insert((Version::ZERO, Chain::ROOT));
        let expected = *version;
        let encoded = self.codec.encode(event)?;
        let mut event = NewEvent {
            event_type: encoded.name.into(),
            schema_version: encoded.schema_version,
            payload: encoded.fields,
            metadata: self.metadata.clone(),
            recorded_at: Timestamp::now(),
            chain: *chain,
        };
        *version = version.next();
        event.chain = chain.next(&aggregate, *version, None, &event);
        *chain = event.chain;
        Ok(Append { aggregate, expected, key: None, events: vec![event] })
    }
}

fn named<A: Aggregate>(id: &str) -> Result<AggregateRef> {
    Ok(AggregateRef::new(AggregateType::new(A::TYPE)?, AggregateId::new(id)?))
}

//! The stored bytes of the events of commerce. If code can no longer read these bytes, the event needs an upcaster.

use dormouse_aggregates::commerce::{
    Cents, Email, Inventory, InventoryEvent, Line, Order, OrderEvent, OrderId, OrderStatus, OrderSummary, Quantity,
    Sku, Text,
};
use dormouse_kernel::{Aggregate, EventCodec};

use crate::stored::{bytes, is_pinned};

#[test]
fn names_and_versions_are_stable() {
    assert_eq!((Order::TYPE, Inventory::TYPE), ("order", "inventory"));
    let order = [
        ("OrderCreated", 1),
        ("LineAdded", 1),
        ("OrderConfirmed", 1),
        ("LineReserved", 1),
        ("StockReserved", 1),
        ("OrderRejected", 1),
        ("OrderShipped", 1),
        ("OrderCancelled", 1),
    ];
    assert_eq!(EventCodec::<OrderEvent>::new().unwrap().events(), order);
    let inventory = [("InventoryUpdated", 1), ("StockReserved", 1), ("StockReleased", 1), ("StockCommitted", 1)];
    assert_eq!(EventCodec::<InventoryEvent>::new().unwrap().events(), inventory);
}

#[test]
fn order_events_are_written_like_this() {
    let (sku, quantity) = (Sku::new("tea").unwrap(), Quantity::new(2).unwrap());
    let line = Line { sku, quantity, unit_price_cents: Cents::new(350).unwrap() };
    is_pinned(
        OrderEvent::OrderCreated {
            customer: text("Ada"),
            email: Email::new("ada@example.org").unwrap().into(),
            lines: vec![line],
            owner: None,
        },
        "83a8637573746f6d6572a3416461a5656d61696caf616461406578616d706c652e6f7267a56c696e65739183a3736b75a3746561a87175616e7469747902b0756e69745f70726963655f63656e7473cd015e",
    );
    let (sku, quantity) = (Sku::new("cup").unwrap(), Quantity::new(1).unwrap());
    is_pinned(
        OrderEvent::LineAdded { sku, quantity, unit_price_cents: Cents::new(1200).unwrap() },
        "83a3736b75a3637570a87175616e7469747901b0756e69745f70726963655f63656e7473cd04b0",
    );
    let total_cents = Cents::new(1900).unwrap();
    let was = |status| Some(OrderSummary { customer: text("Ada"), status, total_cents });
    is_pinned(
        OrderEvent::OrderConfirmed { total_cents, was: was(OrderStatus::Open), reserves: true },
        "83ab746f74616c5f63656e7473cd076ca377617383a8637573746f6d6572a3416461a6737461747573a46f70656eab746f74616c5f63656e7473cd076ca87265736572766573c3",
    );
    is_pinned(OrderEvent::LineReserved { sku: Sku::new("tea").unwrap() }, "81a3736b75a3746561");
    is_pinned(OrderEvent::StockReserved {}, "80");
    is_pinned(
        OrderEvent::OrderRejected {
            sku: Sku::new("tea").unwrap(),
            code: "insufficient-stock".to_owned(),
            was: was(OrderStatus::Confirmed),
        },
        "83a3736b75a3746561a4636f6465b2696e73756666696369656e742d73746f636ba377617383a8637573746f6d6572a3416461a6737461747573a9636f6e6669726d6564ab746f74616c5f63656e7473cd076c",
    );
    is_pinned(
        OrderEvent::OrderShipped { tracking: text("1Z999"), was: was(OrderStatus::Confirmed) },
        "82a8747261636b696e67a5315a393939a377617383a8637573746f6d6572a3416461a6737461747573a9636f6e6669726d6564ab746f74616c5f63656e7473cd076c",
    );
    is_pinned(
        OrderEvent::OrderCancelled { reason: text("late"), was: was(OrderStatus::Open) },
        "82a6726561736f6ea46c617465a377617383a8637573746f6d6572a3416461a6737461747573a46f70656eab746f74616c5f63656e7473cd076c",
    );
}

#[test]
fn a_confirmation_was_written_like_this_before_orders_reserved_their_stock() {
    let total_cents = Cents::new(1900).unwrap();
    let was = Some(OrderSummary { customer: text("Ada"), status: OrderStatus::Open, total_cents });
    is_pinned(
        OrderEvent::OrderConfirmed { total_cents, was, reserves: false },
        "82ab746f74616c5f63656e7473cd076ca377617383a8637573746f6d6572a3416461a6737461747573a46f70656eab746f74616c5f63656e7473cd076c",
    );
}

#[test]
fn order_events_were_written_like_this_before_they_had_a_summary_of_the_order() {
    is_pinned(
        OrderEvent::OrderConfirmed { total_cents: Cents::new(1900).unwrap(), was: None, reserves: false },
        "81ab746f74616c5f63656e7473cd076c",
    );
    is_pinned(OrderEvent::OrderShipped { tracking: text("1Z999"), was: None }, "81a8747261636b696e67a5315a393939");
    is_pinned(OrderEvent::OrderCancelled { reason: text("late"), was: None }, "81a6726561736f6ea46c617465");
}

#[test]
fn inventory_events_are_written_like_this() {
    let order = || OrderId::new("o-1").unwrap();
    let quantity = Quantity::new(4).unwrap();
    is_pinned(
        InventoryEvent::InventoryUpdated { change: -10, reason: text("counted") },
        "82a66368616e6765f6a6726561736f6ea7636f756e746564",
    );
    is_pinned(
        InventoryEvent::StockReserved { order: order(), quantity: Quantity::MAX },
        "82a56f72646572a36f2d31a87175616e74697479ce000f4240",
    );
    is_pinned(InventoryEvent::StockReleased { order: order(), quantity }, "82a56f72646572a36f2d31a87175616e7469747904");
    is_pinned(
        InventoryEvent::StockCommitted { order: order(), quantity },
        "82a56f72646572a36f2d31a87175616e7469747904",
    );
}

#[test]
fn a_line_in_an_event_may_have_newer_fields() {
    // {lines: [{…, gift: true}]}, as a later version may write it.
    let fields = "83a8637573746f6d6572a3416461a5656d61696caf616461406578616d706c652e6f7267a56c696e65739184a3736b75a3746561a87175616e7469747902b0756e69745f70726963655f63656e7473cd015ea467696674c3";
    let decoded = EventCodec::<OrderEvent>::new().unwrap().decode("OrderCreated", 1, &bytes(fields));
    assert!(decoded.is_ok(), "{decoded:?}");
}

fn text(text: &str) -> Text {
    Text::new(text).expect("a text")
}

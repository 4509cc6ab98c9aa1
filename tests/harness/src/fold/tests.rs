//! A checker that finds nothing proves nothing. These tests have one log with its views, written by hand, and make each
//! error that a view can have.

use serde_json::{Value, json};

use super::*;

/// Ada orders tea, adds a cup and confirms. Bob orders, confirms and cancels. Tea is delivered, and some of it is
/// reserved. These orders were confirmed by a version in which orders did not reserve their stock. Later, the order of
/// Cyd is reserved, and the order of Dan is rejected.
fn events() -> Vec<Value> {
    let line = |sku: &str, pieces: u64, cents: u64| json!({"sku": sku, "quantity": pieces, "unit_price_cents": cents});
    let created = |customer: &str| json!({"customer": customer, "email": "a@b.c", "lines": [line("tea", 2, 350)]});
    let written = [
        ("order", "o-1", 1, "OrderCreated", created("Ada")),
        ("inventory", "tea", 1, "InventoryUpdated", json!({"change": 20, "reason": "delivery"})),
        ("order", "o-1", 2, "LineAdded", line("cup", 1, 1200)),
        ("order", "o-2", 1, "OrderCreated", created("Bob")),
        ("inventory", "tea", 2, "StockReserved", json!({"order": "o-1", "quantity": 12})),
        ("order", "o-2", 2, "OrderConfirmed", json!({"total_cents": 700})),
        ("order", "o-1", 3, "OrderConfirmed", json!({"total_cents": 1900})),
        ("order", "o-2", 3, "OrderCancelled", json!({"reason": "too late"})),
        ("inventory", "tea", 3, "StockCommitted", json!({"order": "o-1", "quantity": 12})),
        ("order", "o-1", 4, "OrderShipped", json!({"tracking": "1Z"})),
        ("order", "o-3", 1, "OrderCreated", created("Cyd")),
        ("order", "o-3", 2, "OrderConfirmed", json!({"total_cents": 700, "reserves": true})),
        ("order", "o-3", 3, "LineReserved", json!({"sku": "tea"})),
        ("order", "o-3", 4, "StockReserved", json!({})),
        ("order", "o-4", 1, "OrderCreated", created("Dan")),
        ("order", "o-4", 2, "OrderConfirmed", json!({"total_cents": 700, "reserves": true})),
        ("order", "o-4", 3, "OrderRejected", json!({"sku": "tea", "code": "insufficient-stock"})),
        ("order", "o-4", 4, "$outgoing", json!({})),
    ];
    let event = |(position, (aggregate, id, version, kind, data)): (u64, _)| {
        // The events from here on are one day later.
        let recorded_at = if position < 9 { format!("2026-11-20T10:00:0{position}Z") } else { LATER.to_owned() };
        json!({
            "aggregate": aggregate, "id": id, "version": version, "position": position, "type": kind,
            "recorded_at": recorded_at, "data": data,
        })
    };
    (1..).zip(written).map(event).collect()
}

const LATER: &str = "2026-11-21T10:00:00.5Z";

fn at(second: u64) -> String {
    format!("2026-11-20T10:00:0{second}.000000Z")
}

/// The correct content of each view.
fn shown(view: &str) -> ServedView {
    let later = "2026-11-21T10:00:00.500000Z";
    let tea = json!({"sku": "tea", "quantity": 2, "unit_price_cents": 350});
    let order = |id: &str, customer: &str| json!({"order": id, "customer": customer, "email": "a@b.c"});
    let documents = match view {
        "orders" => vec![
            (
                "o-1",
                10,
                with(
                    order("o-1", "Ada"),
                    json!({
                        "status": "shipped", "lines": [tea, {"sku": "cup", "quantity": 1, "unit_price_cents": 1200}],
                        "total_cents": 1900, "tracking": "1Z", "cancelled_because": null, "rejected_because": null,
                        "reservation": null, "placed_at": at(1), "confirmed_at": at(7), "reserved_at": null,
                        "shipped_at": later, "cancelled_at": null, "rejected_at": null, "updated_at": later,
                    }),
                ),
            ),
            (
                "o-2",
                8,
                with(
                    order("o-2", "Bob"),
                    json!({
                        "status": "cancelled", "lines": [tea], "total_cents": 700, "tracking": null,
                        "cancelled_because": "too late", "rejected_because": null, "reservation": null,
                        "placed_at": at(4), "confirmed_at": at(6), "reserved_at": null, "shipped_at": null,
                        "cancelled_at": at(8), "rejected_at": null, "updated_at": at(8),
                    }),
                ),
            ),
            (
                "o-3",
                14,
                with(
                    order("o-3", "Cyd"),
                    json!({
                        "status": "confirmed", "lines": [tea], "total_cents": 700, "tracking": null,
                        "cancelled_because": null, "rejected_because": null, "reservation": "reserved",
                        "placed_at": later, "confirmed_at": later, "reserved_at": later, "shipped_at": null,
                        "cancelled_at": null, "rejected_at": null, "updated_at": later,
                    }),
                ),
            ),
            (
                "o-4",
                17,
                with(
                    order("o-4", "Dan"),
                    json!({
                        "status": "rejected", "lines": [tea], "total_cents": 700, "tracking": null,
                        "cancelled_because": null, "rejected_because": {"sku": "tea", "code": "insufficient-stock"},
                        "reservation": "released", "placed_at": later, "confirmed_at": later, "reserved_at": null,
                        "shipped_at": null, "cancelled_at": null, "rejected_at": later, "updated_at": later,
                    }),
                ),
            ),
        ],
        "customer-totals" => vec![
            (
                "Ada",
                10,
                json!({
                    "customer": "Ada", "orders": 1, "open": 0, "confirmed": 0, "shipped": 1, "cancelled": 0,
                    "rejected": 0, "total_cents": 1900, "cancelled_cents": 0, "rejected_cents": 0,
                    "last_order_at": at(1), "updated_at": later,
                }),
            ),
            (
                "Bob",
                8,
                json!({
                    "customer": "Bob", "orders": 1, "open": 0, "confirmed": 0, "shipped": 0, "cancelled": 1,
                    "rejected": 0, "total_cents": 0, "cancelled_cents": 700, "rejected_cents": 0,
                    "last_order_at": at(4), "updated_at": at(8),
                }),
            ),
            (
                "Cyd",
                12,
                json!({
                    "customer": "Cyd", "orders": 1, "open": 0, "confirmed": 1, "shipped": 0, "cancelled": 0,
                    "rejected": 0, "total_cents": 700, "cancelled_cents": 0, "rejected_cents": 0,
                    "last_order_at": later, "updated_at": later,
                }),
            ),
            (
                "Dan",
                17,
                json!({
                    "customer": "Dan", "orders": 1, "open": 0, "confirmed": 0, "shipped": 0, "cancelled": 0,
                    "rejected": 1, "total_cents": 0, "cancelled_cents": 0, "rejected_cents": 700,
                    "last_order_at": later, "updated_at": later,
                }),
            ),
        ],
        "inventory" => vec![(
            "tea",
            9,
            json!({
                "sku": "tea", "on_hand": 8, "reserved": 0, "available": 8, "reservations": 0, "low_stock": true,
                "updated_at": later,
            }),
        )],
        _ => vec![
            ("2026-11-20", 8, day("2026-11-20", [2, 2, 0, 1, 0], [2600, 700, 0, 1900])),
            ("2026-11-21", 17, day("2026-11-21", [2, 2, 1, 0, 1], [1400, 0, 700, 700])),
        ],
    };
    let kept = |(key, position, document): (&str, u64, Value)| (key.to_owned(), ViewDocument { document, position });
    ServedView { at: 18, documents: documents.into_iter().map(kept).collect(), repeated: Vec::new() }
}

fn day(day: &str, orders: [u64; 5], [sold, cancelled, rejected, revenue]: [i64; 4]) -> Value {
    json!({
        "day": day, "placed": orders[0], "confirmed": orders[1], "shipped": orders[2], "cancelled": orders[3],
        "rejected": orders[4], "sold_cents": sold, "cancelled_cents": cancelled, "rejected_cents": rejected,
        "revenue_cents": revenue,
    })
}

fn with(mut document: Value, more: Value) -> Value {
    let (Value::Object(fields), Value::Object(more)) = (&mut document, more) else { unreachable!() };
    fields.extend(more);
    document
}

fn fold_of(events: &[Value]) -> Fold {
    let mut fold = Fold::new();
    events.iter().for_each(|event| fold.apply(event).unwrap());
    fold
}

/// The differences that are found after `break_it` has changed the view.
#[track_caller]
fn wrong(view: &'static str, break_it: impl FnOnce(&mut ServedView)) -> Vec<Mismatch> {
    let mut shown = shown(view);
    break_it(&mut shown);
    fold_of(&events()).differences(view, &shown).iter().map(|difference| difference.wrong).collect()
}

fn document<'a>(shown: &'a mut ServedView, key: &str) -> &'a mut ViewDocument {
    shown.documents.get_mut(key).unwrap()
}

#[test]
fn views_that_are_what_the_events_amount_to_differ_in_nothing() {
    for view in VIEWS {
        assert_eq!(fold_of(&events()).differences(view, &shown(view)), [], "{view}");
    }
}

#[test]
fn a_document_that_is_missing_is_found() {
    assert_eq!(wrong("orders", |shown| drop(shown.documents.remove("o-1"))), [Mismatch::Missing]);
    assert_eq!(wrong("daily-sales", |shown| drop(shown.documents.remove("2026-11-21"))), [Mismatch::Missing]);
}

#[test]
fn a_document_too_many_is_found() {
    let add = |shown: &mut ServedView| {
        let tea = shown.documents["tea"].clone();
        shown.documents.insert("cup".to_owned(), tea);
    };
    assert_eq!(wrong("inventory", add), [Mismatch::Unexpected]);
    assert_eq!(wrong("inventory", |shown| shown.repeated.push("tea".to_owned())), [Mismatch::Repeated]);
}

#[test]
fn a_wrong_amount_is_found_wherever_it_is() {
    for view in VIEWS {
        let documents = shown(view).documents;
        let fields = |kept: &ViewDocument| kept.document.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let all = documents.iter().flat_map(|(key, kept)| fields(kept).into_iter().map(move |field| (key, field)));
        for (key, field) in all {
            let change = |shown: &mut ServedView| document(shown, key).document[&field] = json!("something else");
            assert_eq!(wrong(view, change), [Mismatch::Content], "{view}/{key}: {field}");
        }
    }
    assert_eq!(
        wrong("customer-totals", |shown| document(shown, "Ada").document["new"] = json!(1)),
        [Mismatch::Content]
    );
}

#[test]
fn a_position_that_is_not_the_right_one_is_found() {
    assert_eq!(wrong("orders", |shown| shown.at = 17), [Mismatch::Position]);
    assert_eq!(wrong("orders", |shown| shown.at = 19), [Mismatch::Position]);
    assert_eq!(wrong("customer-totals", |shown| document(shown, "Bob").position = 7), [Mismatch::Changed]);
}

/// Leaves out each event once, and applies each event twice once. Every such error shows in some view, although a later
/// event may hide it in others. A row that only sends changes no view, and a reservation that is applied twice changes
/// an order as if it was applied once.
#[test]
fn an_event_that_was_left_out_or_counted_twice_is_found() {
    let all = events();
    let hidden = |event: &Value| event["aggregate"] == "order" && !orders::is_turn(event["type"].as_str().unwrap());
    let shows = |event: &Value| event["type"] == "LineAdded" || !hidden(event) && event["type"] != OUTGOING;
    for (place, event) in all.iter().enumerate().filter(|(_, event)| shows(event)) {
        let (mut skipped, mut repeated) = (Unchecked::default(), Unchecked::default());
        for (other, event) in all.iter().enumerate() {
            repeated.apply(event);
            if other == place {
                repeated.apply(event);
            } else {
                skipped.apply(event);
            }
        }
        for made in [skipped, repeated] {
            let differs = |view: &'static str| !fold_of(&all).differences(view, &made.shown(view)).is_empty();
            assert!(VIEWS.into_iter().any(differs), "{event}");
        }
    }
}

/// Views of a product that adds numbers for every event that arrives.
#[derive(Default)]
struct Unchecked {
    lines: BTreeMap<String, Vec<Value>>,
    counted: BTreeMap<String, i64>,
}

impl Unchecked {
    fn apply(&mut self, event: &Value) {
        let (id, kind, data) = (event["id"].as_str().unwrap(), event["type"].as_str().unwrap(), &event["data"]);
        match kind {
            "OrderCreated" => self.lines.entry(id.to_owned()).or_default().push(data["lines"][0].clone()),
            "LineAdded" => self.lines.entry(id.to_owned()).or_default().push(data.clone()),
            _ => {}
        }
        if event["aggregate"] == "order" && kind == "StockReserved" {
            return;
        }
        let amount = data["change"].as_i64().or_else(|| data["quantity"].as_i64()).unwrap_or(1);
        *self.counted.entry(kind.to_owned()).or_default() += amount;
    }

    /// The correct documents, with the numbers that this product has counted.
    fn shown(&self, view: &str) -> ServedView {
        let counted = |kind: &str| self.counted.get(kind).copied().unwrap_or_default();
        let mut shown = shown(view);
        match view {
            "orders" => {
                for (id, kept) in &mut shown.documents {
                    kept.document["lines"] = json!(self.lines.get(id).cloned().unwrap_or_default());
                }
            }
            "inventory" => {
                let tea = &mut document(&mut shown, "tea").document;
                tea["on_hand"] = json!(counted("InventoryUpdated") - counted("StockCommitted"));
                tea["reserved"] = json!(counted("StockReserved") - counted("StockCommitted"));
            }
            "daily-sales" => {
                document(&mut shown, "2026-11-20").document["cancelled"] = json!(counted("OrderCancelled"));
                let saturday = &mut document(&mut shown, "2026-11-21").document;
                // Two orders were placed and confirmed the day before.
                saturday["placed"] = json!(counted("OrderCreated") - 2);
                saturday["confirmed"] = json!(counted("OrderConfirmed") - 2);
                saturday["shipped"] = json!(counted("OrderShipped"));
                saturday["rejected"] = json!(counted("OrderRejected"));
            }
            _ => {}
        }
        shown
    }
}

#[test]
fn what_is_no_log_is_refused() {
    let refused = |break_it: fn(&mut Vec<Value>)| {
        let (mut events, mut fold) = (events(), Fold::new());
        break_it(&mut events);
        events.iter().find_map(|event| fold.apply(event).err()).expect("the model refuses an event")
    };
    assert_eq!(refused(|events| drop(events.remove(3))), "position 5 follows 3");
    assert_eq!(refused(|events| events[3]["position"] = json!(3)), "position 3 follows 3");
    assert_eq!(refused(|events| events[4]["version"] = json!(3)), "version 3 of inventory/tea follows 1");
    assert_eq!(
        refused(|events| events[6]["type"] = json!("LineAdded")),
        "OrderShipped of order o-1, which was Some(Open)"
    );
    assert!(refused(|events| events[0] = json!({"position": 1})).starts_with("an event without version"));
}

#[test]
fn a_fold_stops_where_it_is_told_to() {
    let fold = fold_of(&events()[..4]);
    assert_eq!(fold.at(), 4);
    assert_eq!(fold.document("orders", "o-1").unwrap().document["status"], "open");
    assert_eq!(fold.document("customer-totals", "Ada").unwrap().position, 1);
    assert_eq!(fold.document("inventory", "tea").unwrap().document["on_hand"], 20);
    assert_eq!(fold.document("inventory", "cup"), None);
}

#[test]
fn pages_are_put_together() {
    let item = |key: &str| json!({"key": key, "position": 3, "document": {"sku": key}});
    let mut shown = ServedView::default();
    shown.add(json!({"items": [item("a"), item("b")], "next": "…", "position": 7})).unwrap();
    shown.add(json!({"items": [item("b"), item("c")], "next": null, "position": 8})).unwrap();
    assert_eq!((shown.at, shown.documents.len(), shown.repeated), (8, 3, vec!["b".to_owned()]));
    assert_eq!(ServedView::default().add(json!({"position": 1, "items": [{"key": "a"}]})), None);
}

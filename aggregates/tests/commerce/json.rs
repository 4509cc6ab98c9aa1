//! Commands as an HTTP client sends them: the fields in the body, the name in the path.

use dormouse_aggregates::commerce::{
    Cents, InventoryCommand, NewLine, Order, OrderCommand, OrderReply, OrderStatus, Quantity, Reservation, Sku,
    StockLevel,
};
use dormouse_kernel::{decode_variant, kebab_case, variant_names};
use schemars::schema_for;
use serde_json::{Value, json};

#[test]
fn commands_are_reached_by_these_paths() {
    let paths = |names: &[&str]| names.iter().map(|name| kebab_case(name)).collect::<Vec<_>>();
    let order = [
        "create-order",
        "add-line",
        "confirm-order",
        "ship-order",
        "cancel-order",
        "record-line-reserved",
        "record-line-refused",
        "notify-inventories",
    ];
    assert_eq!(paths(variant_names::<OrderCommand>().unwrap()), order);
    let inventory = ["update-inventory", "reserve-stock", "reserve-line", "release-stock", "commit-stock"];
    assert_eq!(paths(variant_names::<InventoryCommand>().unwrap()), inventory);
}

#[test]
fn an_order_is_created_from_json() {
    let body = json!({
        "customer": "Ada",
        "email": "ada@example.org",
        "lines": [{ "sku": "tea", "quantity": 2, "unit_price_cents": 350 }],
    });
    let command: OrderCommand = decode_variant("CreateOrder", &body).unwrap();
    let OrderCommand::CreateOrder { customer, email, lines } = command else { panic!("another command") };
    assert_eq!((customer.as_str(), email.as_str()), ("Ada", "ada@example.org"));
    let line = NewLine {
        sku: Sku::new("tea").unwrap(),
        quantity: Quantity::new(2).unwrap(),
        unit_price_cents: Cents::new(350).unwrap(),
    };
    assert_eq!(lines, [line]);
}

#[test]
fn a_command_without_fields_takes_none() {
    for body in [Value::Null, json!({})] {
        assert_eq!(decode_variant::<OrderCommand, _>("ConfirmOrder", &body).unwrap(), OrderCommand::ConfirmOrder);
    }
    assert!(order_error("ConfirmOrder", &json!({ "total": 1 })).contains("unknown field `total`"));
}

#[test]
fn errors_say_what_is_wrong_with_a_value() {
    let line = |quantity: Value| json!({ "sku": "tea", "quantity": quantity, "unit_price_cents": 350 });
    assert_eq!(order_error("AddLine", &line(json!(0))), "quantity must be between 1 and 1000000, got 0");
    assert_eq!(order_error("AddLine", &line(json!(-1))), "quantity must be between 1 and 1000000, got -1");
    assert_eq!(
        order_error("AddLine", &line(json!(1.5))),
        "invalid type: floating point `1.5`, expected a whole number between 1 and 1000000"
    );
    assert_eq!(
        order_error("AddLine", &line(json!("2"))),
        "invalid type: string \"2\", expected a whole number between 1 and 1000000"
    );
    let huge = line(json!(u64::MAX));
    assert_eq!(order_error("AddLine", &huge), "quantity must be between 1 and 1000000, got 18446744073709551615");

    let price = json!({ "sku": "tea", "quantity": 1, "unit_price_cents": -350 });
    let refused = "the amount in cents must be between 0 and 9007199254740991, got -350";
    assert_eq!(order_error("AddLine", &price), refused);

    let sku = json!({ "sku": "red shoe", "quantity": 1, "unit_price_cents": 350 });
    let refused = "sku must be made of letters, digits, '-', '_' and '.', got ' '";
    assert_eq!(order_error("AddLine", &sku), refused);

    let email = json!({ "customer": "Ada", "email": "ada", "lines": [] });
    assert_eq!(order_error("CreateOrder", &email), "the e-mail address must have one '@'");
    assert_eq!(order_error("CancelOrder", &json!({ "reason": " " })), "text must not be blank");

    let order = json!({ "order": "a/b", "quantity": 1 });
    assert_eq!(inventory_error("ReserveStock", &order), "the order id contains a slash");
}

#[test]
fn a_field_that_is_missing_or_misspelt_is_named() {
    assert_eq!(order_error("ShipOrder", &json!({})), "missing field `tracking`");
    let refused = order_error("ShipOrder", &json!({ "tracking": "1Z999", "carier": "ups" }));
    assert!(refused.starts_with("unknown field `carier`"), "{refused}");
    let line = json!({ "sku": "tea", "quantity": 1, "price": 350 });
    let refused = order_error("CreateOrder", &json!({ "customer": "Ada", "email": "a@b.c", "lines": [line] }));
    assert!(refused.starts_with("unknown field `price`"), "{refused}");
    let refused = inventory_error("UpdateInventory", &json!({ "change": 1, "reason": "r", "sku": "tea" }));
    assert!(refused.starts_with("unknown field `sku`"), "{refused}");
}

#[test]
fn replies_are_plain_numbers_and_words() {
    let reply = OrderReply { status: OrderStatus::Confirmed, total_cents: Cents::new(700).unwrap() };
    assert_eq!(serde_json::to_value(reply).unwrap(), json!({ "status": "confirmed", "total_cents": 700 }));
    assert_eq!(serde_json::to_value(OrderStatus::Rejected).unwrap(), json!("rejected"));
    let reservations = [Reservation::Pending, Reservation::Reserved, Reservation::Released, Reservation::Committed];
    let names = json!(["pending", "reserved", "released", "committed"]);
    assert_eq!(serde_json::to_value(reservations).unwrap(), names);
    let level = StockLevel { on_hand: 10, reserved: 4, available: 6 };
    assert_eq!(serde_json::to_value(level).unwrap(), json!({ "on_hand": 10, "reserved": 4, "available": 6 }));
}

#[test]
fn the_state_of_a_new_order_is_json_too() {
    let expected = json!({
        "status": null,
        "customer": null,
        "email": null,
        "lines": [],
        "total_cents": 0,
        "tracking": null,
        "cancelled_because": null,
        "rejected_because": null,
        "reservation": null,
        "awaited": [],
    });
    assert_eq!(serde_json::to_value(Order::default()).unwrap(), expected);
}

#[test]
fn the_schema_states_the_bounds() {
    let schema = serde_json::to_value(schema_for!(OrderCommand)).unwrap();
    let bounds = |name: &str, keys: &[&str]| {
        let value = &schema["$defs"][name];
        keys.iter().map(|key| value[key].clone()).collect::<Vec<_>>()
    };
    assert_eq!(bounds("Quantity", &["type", "minimum", "maximum"]), [json!("integer"), json!(1), json!(1_000_000)]);
    let cents = [json!("integer"), json!(0), json!(9_007_199_254_740_991_u64)];
    assert_eq!(bounds("Cents", &["type", "minimum", "maximum"]), cents);
    let sku = [json!("string"), json!(1), json!(64), json!("^[A-Za-z0-9._-]+$")];
    assert_eq!(bounds("Sku", &["type", "minLength", "maxLength", "pattern"]), sku);
    assert_eq!(bounds("Email", &["type", "format", "maxLength"]), [json!("string"), json!("email"), json!(254)]);
    assert_eq!(bounds("Text", &["type", "minLength", "maxLength"]), [json!("string"), json!(1), json!(500)]);
    assert_eq!(bounds("Quantity", &["description"]), [json!("How many pieces: 1 to 1,000,000.")]);

    let create =
        schema["oneOf"].as_array().unwrap().iter().find_map(|variant| variant["properties"].get("CreateOrder"));
    let create = create.unwrap();
    assert_eq!(create["additionalProperties"], json!(false));
    assert_eq!(
        (&create["properties"]["lines"]["minItems"], &create["properties"]["lines"]["maxItems"]),
        (&json!(1), &json!(500))
    );
    assert_eq!(schema["$defs"]["NewLine"]["additionalProperties"], json!(false));

    let schema = serde_json::to_value(schema_for!(InventoryCommand)).unwrap();
    let order = &schema["$defs"]["OrderId"];
    assert_eq!((&order["minLength"], &order["maxLength"]), (&json!(1), &json!(128)));
}

fn order_error(name: &str, body: &Value) -> String {
    decode_variant::<OrderCommand, _>(name, body).expect_err("refused").to_string()
}

fn inventory_error(name: &str, body: &Value) -> String {
    decode_variant::<InventoryCommand, _>(name, body).expect_err("refused").to_string()
}

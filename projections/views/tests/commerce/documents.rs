//! The interface of the views: their documents in JSON, the schemas, the declared fields, the names of the queries.

use dormouse_projections::{Definition, Kind, Projection};
use dormouse_views::commerce::{CustomerTotals, DailySales, InventoryLevels, Orders};
use schemars::schema_for;
use serde_json::{Value, json};

#[test]
fn an_order_looks_like_this() {
    is_pinned::<Orders>(&json!({
        "order": "o-1",
        "status": "shipped",
        "customer": "Ada",
        "email": "ada@example.org",
        "lines": [{ "sku": "tea", "quantity": 2, "unit_price_cents": 350 }],
        "total_cents": 700,
        "tracking": "1Z999",
        "cancelled_because": null,
        "placed_at": "2026-11-21T12:23:45.000000Z",
        "confirmed_at": "2026-11-21T12:23:46.500000Z",
        "shipped_at": "2026-11-22T08:00:00.000001Z",
        "cancelled_at": null,
        "updated_at": "2026-11-22T08:00:00.000001Z",
    }));
}

#[test]
fn the_total_of_a_customer_looks_like_this() {
    is_pinned::<CustomerTotals>(&json!({
        "customer": "Ada",
        "orders": 10,
        "open": 1,
        "confirmed": 2,
        "shipped": 3,
        "cancelled": 4,
        "total_cents": 3500,
        "cancelled_cents": 700,
        "last_order_at": "2026-11-21T12:23:45.000000Z",
        "updated_at": "2026-11-21T12:23:46.500000Z",
    }));
}

#[test]
fn the_level_of_a_sku_looks_like_this() {
    is_pinned::<InventoryLevels>(&json!({
        "sku": "tea",
        "on_hand": 10,
        "reserved": 4,
        "available": 6,
        "reservations": 2,
        "low_stock": true,
        "updated_at": "2026-11-21T12:23:45.000000Z",
    }));
}

#[test]
fn the_sales_of_a_day_look_like_this() {
    is_pinned::<DailySales>(&json!({
        "day": "2026-11-21",
        "placed": 5,
        "confirmed": 2,
        "shipped": 3,
        "cancelled": 1,
        "sold_cents": 700,
        "cancelled_cents": 1900,
        "revenue_cents": -1200,
    }));
}

#[test]
fn queries_have_these_names() {
    fn queries<P: Projection>() -> [String; 3] {
        let definition = Definition::of::<P>().unwrap();
        [definition.name(), definition.query_one(), definition.query_all()].map(str::to_owned)
    }
    assert_eq!(queries::<Orders>(), ["orders", "GetOrder", "GetAllOrders"]);
    assert_eq!(queries::<CustomerTotals>(), ["customer-totals", "GetCustomerTotals", "GetAllCustomerTotals"]);
    assert_eq!(queries::<InventoryLevels>(), ["inventory", "GetInventory", "GetAllInventory"]);
    assert_eq!(queries::<DailySales>(), ["daily-sales", "GetDailySales", "GetAllDailySales"]);
}

#[test]
fn lists_are_filtered_and_sorted_by_these_fields() {
    fn paths<P: Projection>() -> Vec<&'static str> {
        Definition::of::<P>().unwrap().fields().iter().map(|field| field.path).collect()
    }
    assert_eq!(paths::<Orders>(), ["status", "customer", "total_cents", "placed_at", "updated_at"]);
    assert_eq!(paths::<CustomerTotals>(), ["customer", "orders", "open", "total_cents", "last_order_at"]);
    assert_eq!(paths::<InventoryLevels>(), ["sku", "on_hand", "available", "low_stock", "updated_at"]);
    assert_eq!(paths::<DailySales>(), ["day", "placed", "revenue_cents"]);
}

#[test]
fn the_schema_of_every_document_describes_it() {
    is_described::<Orders>();
    is_described::<CustomerTotals>();
    is_described::<InventoryLevels>();
    is_described::<DailySales>();
}

/// The document can be read from and written as this JSON, which has all properties of the schema.
#[track_caller]
fn is_pinned<P: Projection>(golden: &Value) {
    let document: P::Document = serde_json::from_value(golden.clone()).unwrap();
    assert_eq!(serde_json::to_value(&document).unwrap(), *golden);
    let schema = serde_json::to_value(schema_for!(P::Document)).unwrap();
    let names = |object: &Value| {
        let mut names: Vec<String> = object.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(golden), names(&schema["properties"]));
}

/// The document and each property have a description, and each declared field is a property of the declared kind.
#[track_caller]
fn is_described<P: Projection>() {
    let schema = serde_json::to_value(schema_for!(P::Document)).unwrap();
    assert!(is_text(&schema["description"]), "{}", P::NAME);
    for (name, property) in schema["properties"].as_object().unwrap() {
        assert!(is_text(&property["description"]), "{}: {name}", P::NAME);
    }
    for field in P::fields().iter() {
        let property = resolved(&schema, &schema["properties"][field.path]);
        let expected = match field.kind {
            Kind::Text => "string",
            Kind::Integer => "integer",
            Kind::Real => "number",
            Kind::Boolean => "boolean",
        };
        let types = property["oneOf"].as_array().map_or_else(|| vec![property], |variants| variants.iter().collect());
        assert!(types.iter().all(|of| of["type"] == expected), "{}: {}: {property}", P::NAME, field.path);
    }
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// The schema that a property refers to, or the property itself.
fn resolved<'v>(schema: &'v Value, property: &'v Value) -> &'v Value {
    let name = property["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.map_or(property, |name| &schema["$defs"][name])
}

//! The interface of the views: their documents in JSON, the schemas, the declared fields, the names of the queries.

use dormouse_views::commerce::{CustomerTotals, DailySales, InventoryLevels, Orders};
use serde_json::json;

use crate::interface::{is_described, is_pinned, paths, queries};

#[test]
fn an_order_looks_like_this() {
    is_pinned::<Orders>(&json!({
        "order": "o-1",
        "status": "shipped",
        "owner": "ada",
        "customer": "Ada",
        "email": "ada@example.org",
        "lines": [{ "sku": "tea", "quantity": 2, "unit_price_cents": 350 }],
        "total_cents": 700,
        "tracking": "1Z999",
        "cancelled_because": null,
        "rejected_because": null,
        "reservation": "committed",
        "placed_at": "2026-11-21T12:23:45.000000Z",
        "confirmed_at": "2026-11-21T12:23:46.500000Z",
        "reserved_at": "2026-11-21T12:23:46.600000Z",
        "shipped_at": "2026-11-22T08:00:00.000001Z",
        "cancelled_at": null,
        "rejected_at": null,
        "updated_at": "2026-11-22T08:00:00.000001Z",
    }));
}

#[test]
fn a_rejected_order_looks_like_this() {
    is_pinned::<Orders>(&json!({
        "order": "o-1",
        "status": "rejected",
        "owner": "ada",
        "customer": "Ada",
        "email": "ada@example.org",
        "lines": [{ "sku": "tea", "quantity": 2, "unit_price_cents": 350 }],
        "total_cents": 700,
        "tracking": null,
        "cancelled_because": null,
        "rejected_because": { "sku": "tea", "code": "insufficient-stock" },
        "reservation": "released",
        "placed_at": "2026-11-21T12:23:45.000000Z",
        "confirmed_at": "2026-11-21T12:23:46.500000Z",
        "reserved_at": null,
        "shipped_at": null,
        "cancelled_at": null,
        "rejected_at": "2026-11-21T12:23:46.600000Z",
        "updated_at": "2026-11-21T12:23:46.600000Z",
    }));
}

#[test]
fn the_total_of_a_customer_looks_like_this() {
    is_pinned::<CustomerTotals>(&json!({
        "customer": "Ada",
        "orders": 15,
        "open": 1,
        "confirmed": 2,
        "shipped": 3,
        "cancelled": 4,
        "rejected": 5,
        "total_cents": 3500,
        "cancelled_cents": 700,
        "rejected_cents": 1000,
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
        "rejected": 1,
        "sold_cents": 700,
        "cancelled_cents": 1900,
        "rejected_cents": 100,
        "revenue_cents": -1300,
    }));
}

#[test]
fn queries_have_these_names() {
    assert_eq!(queries::<Orders>(), ["orders", "GetOrder", "GetAllOrders"]);
    assert_eq!(queries::<CustomerTotals>(), ["customer-totals", "GetCustomerTotals", "GetAllCustomerTotals"]);
    assert_eq!(queries::<InventoryLevels>(), ["inventory", "GetInventory", "GetAllInventory"]);
    assert_eq!(queries::<DailySales>(), ["daily-sales", "GetDailySales", "GetAllDailySales"]);
}

#[test]
fn lists_are_filtered_and_sorted_by_these_fields() {
    assert_eq!(paths::<Orders>(), ["status", "owner", "customer", "total_cents", "placed_at", "updated_at"]);
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

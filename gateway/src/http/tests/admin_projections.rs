//! Operations on projections.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use super::read_models::{Gate, Mended, Shop};
use super::support::{Answer, request};

/// A cart with a line that cannot be projected, and a line after it.
async fn poisoned(shop: &Shop, id: &str) {
    shop.cart(id, "Ada", "poison", 1).await;
    shop.add(id, "tea", 2).await;
    shop.catch_up().await;
}

async fn carts(shop: &Shop) -> Value {
    shop.get("/admin/projections/carts").await.json()
}

/// Polls until the projection has the expected state.
async fn carts_when(shop: &Shop, is_so: impl Fn(&Value) -> bool) -> Value {
    let looking = async {
        loop {
            let seen = carts(shop).await;
            if is_so(&seen) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking).await.expect("the projection reaches the expected state")
}

async fn operate(shop: &Shop, action: &str, body: Value) -> Answer {
    shop.post(&format!("/admin/projections/carts/{action}"), &body).await
}

#[tokio::test]
async fn all_projections_are_listed_with_their_positions() {
    let shop = Shop::open().await;
    let head = shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    let listed = shop.get("/admin/projections").await.json();
    assert_eq!((&listed["head"], &listed["orphans"]), (&json!(head), &json!([])));
    let names: Vec<&Value> = listed["projections"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["carts", "owners"]);
    let owners = shop.get("/admin/projections/owners").await.json();
    for (member, expected) in [
        ("state", json!("running")),
        ("reason", Value::Null),
        ("version", json!(3)),
        ("position", json!(head)),
        ("lag", json!(0)),
        ("parked", json!(0)),
        ("rebuild", Value::Null),
    ] {
        assert_eq!(owners[member], expected, "{member}");
    }
}

#[tokio::test]
async fn a_paused_projection_keeps_its_position_until_it_is_resumed() {
    let shop = Shop::open().await;
    let first = shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    let paused = operate(&shop, "pause", json!({})).await.json();
    assert_eq!((&paused["state"], &paused["position"]), (&json!("paused"), &json!(first)));
    operate(&shop, "pause", json!({})).await.is_problem(409, "already-paused");

    let second = shop.cart("c-2", "Bea", "cup", 1).await;
    let seen = carts(&shop).await;
    assert_eq!(
        (&seen["state"], &seen["position"], &seen["lag"]),
        (&json!("paused"), &json!(first), &json!(second - first))
    );
    assert_eq!(operate(&shop, "resume", json!({})).await.status, 200);
    shop.catch_up().await;
    assert_eq!(carts(&shop).await["state"], "running");
    operate(&shop, "resume", json!({})).await.is_problem(409, "not-paused");
}

// A gate blocks a thread.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_shows_its_progress_and_replaces_the_served_build() {
    let shop = Shop::open().await;
    let head = shop.cart("c-1", "Ada", "slow", 2).await;
    shop.catch_up().await;
    let before = carts(&shop).await;
    let gate = Gate::shut("slow");
    let begun = operate(&shop, "rebuild", json!({})).await.json();
    assert_eq!(begun["build"], before["build"]);
    assert!(begun["rebuild"]["build"].as_u64() > before["build"].as_u64(), "{begun}");
    assert_eq!((&begun["rebuild"]["position"], &begun["rebuild"]["lag"]), (&json!(0), &json!(head)));
    assert!(begun["rebuild"]["started_at"].is_string(), "{begun}");
    // The old build is still served.
    assert_eq!(shop.get("/v1/views/carts/c-1").await.status, 200);
    let under_way = operate(&shop, "rebuild", json!({})).await.is_problem(409, "rebuild-under-way");
    assert_eq!(under_way["position"], 0);

    drop(gate);
    let after = carts_when(&shop, |carts| carts["rebuild"].is_null()).await;
    assert_eq!((&after["build"], &after["position"]), (&begun["rebuild"]["build"], &json!(head)));
}

#[tokio::test]
async fn a_reset_builds_the_view_from_the_events_after_a_position() {
    let shop = Shop::open().await;
    let first = shop.cart("c-1", "Ada", "tea", 2).await;
    let head = shop.cart("c-2", "Bea", "cup", 1).await;
    shop.catch_up().await;
    assert_eq!(operate(&shop, "reset", json!({ "to": first })).await.status, 200);
    shop.catch_up().await;
    assert_eq!(shop.get("/v1/views/carts/c-2").await.status, 200);
    shop.get("/v1/views/carts/c-1").await.is_problem(404, "document-not-found");

    let beyond = operate(&shop, "reset", json!({ "to": head + 1 })).await.is_problem(400, "unknown-position");
    assert_eq!(beyond["position"], head);
    operate(&shop, "reset", json!({})).await.is_problem(400, "invalid-body");
    operate(&shop, "reset", json!({ "to": 0, "until": 1 })).await.is_problem(400, "invalid-body");
    shop.post_text("/admin/projections/carts/reset", &[], "{").await.is_problem(400, "malformed-json");
}

#[tokio::test]
async fn a_view_is_dropped_while_its_projection_is_paused() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    let drop = || shop.send(request(Method::DELETE, "/admin/projections/carts", &[], Body::empty()));
    drop().await.is_problem(409, "projection-at-work");
    operate(&shop, "pause", json!({})).await;
    assert_eq!(drop().await.json(), json!({"name": "carts", "dropped": true}));
    assert_eq!(carts(&shop).await["state"], "dropped");
    drop().await.is_problem(409, "view-dropped");
    assert_eq!(operate(&shop, "resume", json!({})).await.status, 200);
    carts_when(&shop, |carts| carts["state"] == "running" && carts["lag"] == 0).await;
    assert_eq!(shop.get("/v1/views/carts/c-1").await.status, 200);
}

#[tokio::test]
async fn parked_events_are_shown_with_reasons_page_by_page() {
    let shop = Shop::open().await;
    poisoned(&shop, "c%201").await;
    shop.cart("c-2", "Bea", "cup", 1).await;
    shop.catch_up().await;
    assert_eq!(carts(&shop).await["parked"], 1);
    let first = shop.get("/admin/projections/carts/parked?limit=1").await.json();
    let failed = &first["parked"][0];
    assert_eq!((&failed["aggregate"], &failed["id"], &failed["version"]), (&json!("cart"), &json!("c 1"), &json!(2)));
    assert!(failed["reason"].is_string() && failed["attempts"].as_u64() > Some(0), "{failed}");
    assert_eq!(failed.get("event"), None);
    let next = shop.get(first["next"].as_str().unwrap()).await.json();
    let waits = &next["parked"][0];
    assert_eq!((&waits["version"], &waits["reason"], &waits["attempts"]), (&json!(3), &Value::Null, &json!(0)));
    assert_eq!(next["next"], Value::Null);

    let shown = shop.get("/admin/projections/carts/parked/cart/c%201").await.json();
    let events: Vec<&Value> =
        shown["parked"].as_array().unwrap().iter().map(|parked| &parked["event"]["data"]).collect();
    assert_eq!(events[0], &json!({"sku": "poison", "quantity": 1}));
    assert_eq!(events.len(), 2);
    shop.get("/admin/projections/carts/parked/cart/c-2").await.is_problem(404, "not-parked");
    shop.get("/admin/projections/carts/parked/kart/c-2").await.is_problem(404, "unknown-aggregate-type");
}

#[tokio::test]
async fn parked_events_are_projected_once_the_projection_is_corrected() {
    let shop = Shop::open().await;
    poisoned(&shop, "c-mended").await;
    let order = json!({"aggregate": "cart", "id": "c-mended"});
    let retried = operate(&shop, "retry", order.clone()).await.json();
    assert_eq!((&retried["released"], &retried["still_parked"]["version"]), (&json!(0), &json!(2)));

    let mended = Mended::cart("c-mended");
    let retried = operate(&shop, "retry", order.clone()).await.json();
    assert_eq!((&retried["released"], &retried["still_parked"]), (&json!(2), &Value::Null));
    drop(mended);
    assert_eq!(carts(&shop).await["parked"], 0);
    let document = shop.get("/v1/views/carts/c-mended").await.json();
    assert_eq!(document["document"]["quantity"], 3);
    operate(&shop, "retry", order).await.is_problem(404, "not-parked");
}

#[tokio::test]
async fn an_event_is_skipped_by_its_position_and_only_once() {
    let shop = Shop::open().await;
    poisoned(&shop, "c-1").await;
    let parked = shop.get("/admin/projections/carts/parked/cart/c-1").await.json();
    let order = |parked: &Value| json!({"aggregate": "cart", "id": "c-1", "position": parked["position"]});
    let later = operate(&shop, "skip", order(&parked["parked"][1])).await.is_problem(409, "not-first-parked");
    assert_eq!(later["position"], parked["parked"][0]["position"]);
    let skipped = operate(&shop, "skip", order(&parked["parked"][0])).await.json();
    assert_eq!((&skipped["released"], &skipped["still_parked"]), (&json!(1), &Value::Null));
    assert_eq!(shop.get("/v1/views/carts/c-1").await.json()["document"]["quantity"], 2);
    operate(&shop, "skip", order(&parked["parked"][0])).await.is_problem(404, "not-parked");
    operate(&shop, "skip", json!({"aggregate": "cart", "id": "c-1"})).await.is_problem(400, "invalid-body");
}

#[tokio::test]
async fn an_unknown_projection_is_refused_with_the_nearest_name() {
    let shop = Shop::open().await;
    for (method, path) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::POST, "/pause"),
        (Method::POST, "/resume"),
        (Method::POST, "/rebuild"),
        (Method::POST, "/reset"),
        (Method::POST, "/retry"),
        (Method::POST, "/skip"),
        (Method::GET, "/parked"),
        (Method::GET, "/parked/cart/c-1"),
    ] {
        let path = format!("/admin/projections/cart{path}");
        let unknown = shop.send(request(method, &path, &[], Body::empty())).await;
        assert_eq!(unknown.is_problem(404, "unknown-projection")["nearest"], "carts", "{path}");
    }
}

#[tokio::test]
async fn the_list_is_shown_although_the_views_do_not_answer() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    shop.lose_the_views().await;
    let listed = shop.get("/admin/projections").await.json();
    assert_eq!((&listed["orphans"], &listed["projections"][0]["position"]), (&Value::Null, &json!(2)));
    shop.get("/admin/projections/carts/parked").await.is_problem(503, "views-unavailable");
}

#[tokio::test]
async fn the_catalogue_names_the_projections_that_read_an_event() {
    let shop = Shop::open().await;
    let catalogue = shop.get("/admin/catalogue?type=cart").await.json();
    let readers = |event: &Value| {
        let consumers = event["consumers"].as_array().unwrap().iter();
        consumers.map(|consumer| (consumer["kind"].clone(), consumer["name"].clone())).collect::<Vec<_>>()
    };
    let events = catalogue["events"].as_array().unwrap();
    assert!(!events.is_empty());
    for event in events {
        let expected = ["carts", "owners"].map(|name| (json!("projection"), json!(name)));
        assert_eq!(readers(event), expected, "{event}");
    }
}

//! The health of the projections.

use std::time::Duration;

use serde_json::{Value, json};

use super::read_models::{Gate, Shop};

async fn carts(shop: &Shop) -> Value {
    let health = shop.get("/health/projections").await;
    assert_eq!(health.status, 200, "commands do not need views: {health:?}");
    health.json()["projections"].as_array().unwrap().iter().find(|view| view["name"] == "carts").unwrap().clone()
}

#[tokio::test]
async fn a_view_that_has_caught_up_is_ok() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    let health = shop.get("/health/projections").await.json();
    assert_eq!((&health["status"], &health["head"]), (&json!("ok"), &json!(2)));
    let carts = carts(&shop).await;
    let recorded_at = shop.get("/v1/cart/c-1/events?after=1").await.json()["events"][0]["recorded_at"].clone();
    let expected = json!({
        "name": "carts", "version": 1, "status": "ok", "reason": null, "state": "running", "position": 2, "lag": 0,
        "begun_after": 0, "parked": 0,
        "last_event": {"position": 2, "recorded_at": recorded_at},
    });
    assert_eq!(carts, expected);
    assert_eq!(shop.get("/health").await.json()["checks"]["projections"]["status"], "ok");
}

#[tokio::test]
async fn a_view_that_has_seen_nothing_has_no_last_event() {
    let shop = Shop::open().await;
    assert_eq!(carts(&shop).await["last_event"], json!({"position": 0, "recorded_at": null}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_view_is_degraded_from_a_thousand_events_on() {
    let shop = Shop::open().await;
    let _gate = Gate::shut("out-of-date");
    shop.cart("c-1", "Ada", "out-of-date", 1).await;
    let lines = |count: usize| json!({ "lines": vec![json!({"sku": "tea", "quantity": 1}); count] });
    assert_eq!(shop.post("/v1/cart/c-1/add-lines", &lines(900)).await.status, 200);
    let before = carts(&shop).await;
    assert_eq!((&before["status"], &before["reason"]), (&json!("ok"), &Value::Null), "{before}");
    assert_eq!(shop.post("/v1/cart/c-1/add-lines", &lines(100)).await.status, 200);
    let behind = carts(&shop).await;
    assert_eq!(behind["status"], "degraded", "{behind}");
    assert!(behind["lag"].as_u64().unwrap() >= 1000 && behind["reason"].as_str().unwrap().contains("behind"));
    let health = shop.get("/health").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("degraded")));
    assert_eq!(shop.get("/health/ready").await.status, 200, "commands are accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_view_that_is_behind_and_makes_no_progress_is_degraded() {
    let shop = Shop::with(|config| config.projections.stalled_after = Duration::from_nanos(1)).await;
    let gate = Gate::shut("does-not-move");
    shop.cart("c-1", "Ada", "does-not-move", 1).await;
    // The first check only notes the position. The view may still come to the gate between two checks.
    let mut noted = carts(&shop).await;
    let stalled = loop {
        let next = carts(&shop).await;
        if next["position"] == noted["position"] {
            break next;
        }
        noted = next;
    };
    assert_eq!(stalled["status"], "degraded", "{stalled}");
    assert!(stalled["reason"].as_str().unwrap().contains("has made no progress"), "{stalled}");
    drop(gate);
    shop.catch_up().await;
    assert_eq!(carts(&shop).await["status"], "ok");
}

#[tokio::test]
async fn parked_events_are_reported() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "poison", 1).await;
    shop.catch_up().await;
    let carts = carts(&shop).await;
    assert_eq!((&carts["status"], &carts["parked"], &carts["lag"]), (&json!("degraded"), &json!(1), &json!(0)));
}

#[tokio::test]
async fn a_stopped_view_is_reported() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 1).await;
    shop.catch_up().await;
    shop.projections.stop().await;
    let carts = carts(&shop).await;
    assert_eq!((&carts["status"], &carts["state"]), (&json!("degraded"), &json!("ended")));
}

//! Changes of the configuration while the server runs.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use super::read_models::Shop;
use super::support::{Answer, request};

async fn patch(shop: &Shop, changes: Value) -> Answer {
    let headers = [("content-type", "application/json")];
    shop.send(request(Method::PATCH, "/admin/config", &headers, Body::from(changes.to_string()))).await
}

#[tokio::test]
async fn a_change_is_answered_with_the_new_configuration() {
    let shop = Shop::open().await;
    let before = shop.get("/admin/config").await.json();
    assert_eq!(before["config"]["cache"]["entries"], 5000);
    assert!(before["live"].as_array().unwrap().contains(&json!("cache.entries")), "{before}");
    let after = patch(&shop, json!({"cache": {"entries": 7, "ttl": "90s"}})).await.json();
    assert_eq!((&after["config"]["cache"]["entries"], &after["config"]["cache"]["ttl"]), (&json!(7), &json!("90s")));
    assert_eq!(shop.get("/admin/config").await.json(), after);
    // The cache has taken the change over.
    assert_eq!(shop.get("/admin/cache").await.json()["options"]["entries"], 7);
}

#[tokio::test]
async fn if_one_change_is_refused_none_is_made() {
    let shop = Shop::open().await;
    let before = shop.get("/admin/config").await.json();
    for (changes, slug, expected) in [
        (json!({"cache": {"entries": 7, "size": "0 B"}}), "invalid-config", "cache.size"),
        (json!({"cache": {"entries": 7, "sice": "1 MiB"}}), "invalid-config", "the nearest known key is `cache.size`"),
        (json!({"cache": {"entries": 7}, "runtime": {"shards": 8}}), "not-live", "cache.entries"),
        (json!({"cache": 7}), "invalid-config", "is a section"),
        (json!({"cache": {"entries": null}}), "invalid-body", "null"),
        (json!([]), "invalid-body", "sequence"),
    ] {
        let refused = patch(&shop, changes.clone()).await.is_problem(400, slug);
        assert!(refused["detail"].as_str().unwrap().contains(expected), "{changes}: {refused}");
    }
    assert_eq!(shop.get("/admin/config").await.json(), before);
}

#[tokio::test]
async fn secrets_are_masked() {
    let shop = Shop::with(|config| config.journal.url = "postgres://app:hunter2@db/app".parse().unwrap()).await;
    let changed = patch(&shop, json!({"cache": {"entries": 7}})).await;
    for answer in [changed, shop.get("/admin/config").await] {
        assert_eq!(answer.status, 200);
        assert!(answer.text.contains("app:***@db") && !answer.text.contains("hunter2"), "{answer:?}");
    }
}

//! The cache of views, for operators.

use serde_json::{Value, json};

use super::read_models::Shop;
use super::support::Server;

async fn shop_that_is_read() -> Shop {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    for path in ["/v1/views/carts/c-1", "/v1/views/carts/c-1", "/v1/views/owners/Ada"] {
        assert_eq!(shop.get(path).await.status, 200, "{path}");
    }
    shop
}

#[tokio::test]
async fn usage_is_counted_and_shown_for_each_view_on_request() {
    let shop = shop_that_is_read().await;
    let brief = shop.get("/admin/cache").await.json();
    assert_eq!((&brief["total"]["hits"], &brief["total"]["misses"]), (&json!(1), &json!(2)));
    assert_eq!((&brief["total"]["entries"], &brief["options"]["enabled"]), (&json!(2), &json!(true)));
    assert_eq!(brief.get("views"), None);
    let detailed = shop.get("/admin/cache?detailed=true").await.json();
    assert_eq!((&detailed["views"]["carts"]["hits"], &detailed["views"]["owners"]["hits"]), (&json!(1), &json!(0)));
    shop.get("/admin/cache?detailed=yes").await.is_problem(400, "invalid-parameter");
}

#[tokio::test]
async fn views_are_cleared_by_name_or_all() {
    let shop = shop_that_is_read().await;
    let clear = async |views: Value| shop.post("/admin/cache/clear", &views).await;
    let unknown = clear(json!({"views": ["carts", "cart"]})).await.is_problem(404, "unknown-view");
    assert_eq!(unknown["nearest"], "carts");
    assert_eq!(clear(json!({"views": ["carts"]})).await.json(), json!({"cleared": 1}));
    assert_eq!(clear(json!({})).await.json(), json!({"cleared": 1}));
    assert_eq!(shop.get("/admin/cache").await.json()["total"]["entries"], 0);
    assert_eq!(shop.get("/v1/views/carts/c-1").await.status, 200);
}

#[tokio::test]
async fn health_shows_how_often_the_cache_could_answer() {
    let shop = shop_that_is_read().await;
    let health = shop.get("/health/cache").await.json();
    assert_eq!((&health["status"], &health["enabled"]), (&json!("ok"), &json!(true)));
    assert_eq!((&health["entries"], &health["hit_ratio"]), (&json!(2), &json!(1.0 / 3.0)));
    assert!(health["bytes"].as_u64() > Some(0), "{health}");
}

#[tokio::test]
async fn an_application_without_views_has_no_cache() {
    let server = Server::start().await;
    assert_eq!(server.get("/health/cache").await.json()["enabled"], false);
    server.get("/admin/cache").await.is_problem(404, "unknown-view");
    assert_eq!(server.get("/admin/projections").await.json(), json!({"head": 0, "projections": [], "orphans": []}));
    server.get("/admin/projections/orders").await.is_problem(404, "unknown-projection");
}

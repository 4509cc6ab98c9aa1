//! States and histories.

use serde_json::{Value, json};

use super::support::Server;

#[tokio::test]
async fn a_state_is_the_live_one_with_its_entity_tag() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    let answer = server.get("/v1/cart/c-1").await;
    let tag = answer.header("etag").unwrap();
    assert!(answer.status == 200 && tag.starts_with("\"3-"), "{tag}");
    let body = answer.json();
    assert_eq!((&body["aggregate"], &body["id"], &body["version"]), (&json!("cart"), &json!("c-1"), &json!(3)));
    assert_eq!(body["state"]["lines"], json!([{"sku": "tea", "quantity": 2}, {"sku": "cup", "quantity": 1}]));
    assert!(body["recorded_at"].as_str().unwrap().ends_with('Z'));
    let unchanged = server.get_with("/v1/cart/c-1", &[("if-none-match", tag)]).await;
    assert_eq!((unchanged.status, unchanged.text.as_str()), (304, ""));
    assert_eq!(unchanged.header("etag"), Some(tag));
    let changed = server.get_with("/v1/cart/c-1", &[("if-none-match", "\"2\"")]).await;
    assert_eq!(changed.status, 200);
}

#[tokio::test]
async fn a_state_of_the_past_can_be_read() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    let past = server.get("/v1/cart/c-1?version=2").await;
    assert!(past.status == 200 && past.header("etag").unwrap().starts_with("\"2-"));
    assert_eq!(past.json()["state"]["lines"], json!([{"sku": "tea", "quantity": 2}]));
    let recorded_at = server.get("/v1/cart/c-1?version=1").await.json()["recorded_at"].clone();
    let at = format!("/v1/cart/c-1?at={}", recorded_at.as_str().unwrap());
    assert!(server.get(&at).await.json()["version"].as_u64() >= Some(1));
    let future = server.get("/v1/cart/c-1?at=2999-01-01T00:00:00+02:00").await;
    assert_eq!(future.json()["version"], 3);
}

#[tokio::test]
async fn a_missing_state_is_not_found() {
    let server = Server::start().await;
    server.get("/v1/cart/none").await.is_problem(404, "not-found");
    server.fill_cart("c-1").await;
    assert_eq!(server.get("/v1/cart/c-1?version=4").await.is_problem(404, "no-such-version")["version"], 3);
    server.get("/v1/cart/c-1?version=0").await.is_problem(404, "not-found");
    server.get("/v1/cart/c-1?at=1999-01-01T00:00:00Z").await.is_problem(404, "not-found");
    server.get("/v1/cart/none?version=1").await.is_problem(404, "not-found");
    server.get("/v1/cart/none/events").await.is_problem(404, "not-found");
    server.get("/v1/cart/none/events?after=7").await.is_problem(404, "not-found");
}

#[tokio::test]
async fn an_invalid_parameter_is_refused_by_name() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    for (query, slug, name) in [
        ("version=1&at=2026-01-01T00:00:00Z", "invalid-parameter", "at"),
        ("version=one", "invalid-parameter", "version"),
        ("version=-1", "invalid-parameter", "version"),
        ("version=18446744073709551615", "invalid-parameter", "version"),
        ("version=1&version=2", "invalid-parameter", "version"),
        ("at=yesterday", "invalid-parameter", "at"),
        ("at=2026-01-01", "invalid-parameter", "at"),
        ("verison=1", "unknown-parameter", "verison"),
    ] {
        let answer = server.get(&format!("/v1/cart/c-1?{query}")).await;
        assert_eq!(answer.is_problem(400, slug)["parameter"], name, "{query}");
    }
    for (query, slug, name) in [
        ("limit=0", "invalid-parameter", "limit"),
        ("limit=1001", "invalid-parameter", "limit"),
        ("after=x", "invalid-parameter", "after"),
        ("after=18446744073709551615", "invalid-parameter", "after"),
        ("before=1", "unknown-parameter", "before"),
    ] {
        let answer = server.get(&format!("/v1/cart/c-1/events?{query}")).await;
        assert_eq!(answer.is_problem(400, slug)["parameter"], name, "{query}");
    }
}

#[tokio::test]
async fn a_history_shows_events_as_they_were_stored() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    let page = server.get("/v1/cart/c-1/events").await.json();
    assert_eq!(page["next"], Value::Null);
    let events = page["events"].as_array().unwrap();
    assert_eq!(events.len(), 3);
    let second = &events[1];
    assert_eq!((&second["version"], &second["position"]), (&json!(2), &json!(2)));
    assert_eq!((&second["type"], &second["schema_version"]), (&json!("LineAdded"), &json!(1)));
    assert_eq!(second["data"], json!({"sku": "tea", "quantity": 2}));
    assert!(second["recorded_at"].is_string() && second["metadata"]["event_id"].is_string());
    assert_eq!(second["metadata"]["command"]["events"], 2);
    assert_eq!(events[2]["metadata"].get("command"), None);
}

#[tokio::test]
async fn a_long_history_comes_in_pages() {
    let server = Server::with(|config| config.gateway.page_size = 2.try_into().unwrap()).await;
    server.fill_cart("a%20b").await;
    let mut versions = Vec::new();
    let mut next = json!("/v1/cart/a%20b/events?limit=1");
    let mut pages = 0;
    while let Some(path) = next.as_str() {
        let page = server.get(path).await.json();
        versions.extend(page["events"].as_array().unwrap().iter().map(|event| event["version"].as_u64().unwrap()));
        next = page["next"].clone();
        pages += 1;
    }
    assert_eq!((pages, versions), (3, vec![1, 2, 3]));
    let page = server.get("/v1/cart/a%20b/events").await.json();
    assert!(page["next"].as_str().unwrap().starts_with("/v1/cart/a%20b/events?after=2-"), "{page}");
    let rest = server.get("/v1/cart/a%20b/events?after=2").await.json();
    assert_eq!((rest["events"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    let beyond = server.get("/v1/cart/a%20b/events?after=3").await.json();
    assert_eq!(beyond, json!({"events": [], "next": null}));
    let far_beyond = server.get("/v1/cart/a%20b/events?after=9223372036854775807").await.json();
    assert_eq!(far_beyond["type"], "urn:dormouse:problem:beyond-head", "{far_beyond}");
}

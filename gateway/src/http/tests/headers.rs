//! The headers of requests and responses.

use serde_json::json;

use super::support::Server;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_repeated_key_gets_the_first_outcome() {
    let server = Server::start().await;
    let body = json!({"owner": "Ada"});
    let path = "/v1/cart/c-1/create-cart";
    let first = server.post_with(path, &[("idempotency-key", "k-1")], &body).await;
    let again = server.post_with(path, &[("idempotency-key", "\"k-1\"")], &body).await;
    assert_eq!((again.status, again.json()), (200, first.json()));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert!(first.header("etag").is_some());
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(server.head(), 1);
    let other = server.refused_post(path, &[("idempotency-key", "k-1")], &json!({"owner": "Bob"})).await;
    other.is_problem(422, "key-reused");
}

#[tokio::test]
async fn a_condition_must_hold() {
    let server = Server::start().await;
    let (create, look) = ("/v1/cart/c-1/create-cart", "/v1/cart/c-1/look");
    let body = json!({"owner": "Ada"});
    let none = server.refused_post(create, &[("if-match", "*")], &body).await;
    assert_eq!(none.is_problem(412, "version-mismatch")["version"], 0);
    assert_eq!(server.post_with(create, &[("if-none-match", "*")], &body).await.status, 200);
    server.refused_post(create, &[("if-none-match", "*")], &body).await.is_problem(412, "version-mismatch");
    assert_eq!(server.post_with(look, &[("if-match", "\"1\"")], &json!({})).await.status, 200);
    assert_eq!(server.post_with(look, &[("if-match", "*")], &json!({})).await.status, 200);
    let other = server.refused_post(look, &[("if-match", "\"2\"")], &json!({})).await;
    assert_eq!(other.is_problem(412, "version-mismatch")["version"], 1);
}

#[tokio::test]
async fn an_entity_tag_of_another_history_matches_nothing() {
    let (lost, restored) = (Server::start().await, Server::start().await);
    let (create, look, cart) = ("/v1/cart/c-1/create-cart", "/v1/cart/c-1/look", "/v1/cart/c-1");
    let theirs = lost.post(create, &json!({"owner": "Ada"})).await.header("etag").unwrap().to_owned();
    let ours = restored.post(create, &json!({"owner": "Bob"})).await.header("etag").unwrap().to_owned();
    assert_eq!(restored.get(cart).await.header("etag"), Some(ours.as_str()));
    let refused = restored.refused_post(look, &[("if-match", &theirs)], &json!({})).await;
    let problem = refused.is_problem(412, "version-mismatch");
    assert!(problem["detail"].as_str().unwrap().contains("read the aggregate again"), "{problem}");
    assert_eq!(restored.get_with(cart, &[("if-none-match", &theirs)]).await.status, 200);
    let looked = restored.post_with(look, &[("if-match", &ours)], &json!({})).await;
    assert_eq!((looked.status, looked.header("etag")), (200, Some(ours.as_str())));
    assert_eq!(restored.get_with(cart, &[("if-none-match", &ours)]).await.status, 304);
}

#[tokio::test]
async fn an_invalid_header_is_refused_by_name() {
    let server = Server::start().await;
    let cases: [(&str, &[(&str, &str)]); 10] = [
        ("If-Match", &[("if-match", "18")]),
        ("If-Match", &[("if-match", "W/\"18\"")]),
        ("If-Match", &[("if-match", "*"), ("if-match", "*")]),
        ("If-None-Match", &[("if-none-match", "\"18\"")]),
        ("If-None-Match", &[("if-match", "*"), ("if-none-match", "*")]),
        ("Idempotency-Key", &[("idempotency-key", "a b")]),
        ("Idempotency-Key", &[("idempotency-key", ".")]),
        ("Idempotency-Key", &[("idempotency-key", "\"..\"")]),
        ("Idempotency-Key", &[("idempotency-key", "a"), ("idempotency-key", "a")]),
        ("Prefer", &[("prefer", "wait=soon")]),
    ];
    for (name, headers) in cases {
        let answer = server.refused_post("/v1/cart/c-1/create-cart", headers, &json!({"owner": "Ada"})).await;
        assert_eq!(answer.is_problem(400, "invalid-header")["header"], name);
    }
}

#[tokio::test]
async fn a_preferred_wait_shortens_the_deadline() {
    let server = Server::start().await;
    server.shut_gate();
    let body = json!({"owner": "Ada"});
    let answer = server.post_with("/v1/cart/c-1/create-cart", &[("prefer", "wait=3")], &body).await;
    let problem = answer.is_problem(504, "outcome-unknown");
    assert!(problem["detail"].as_str().unwrap().contains("/v1/commands/"), "{problem}");
    let at_once = server.post_with("/v1/cart/c-2/create-cart", &[("prefer", "wait=0")], &body).await;
    assert!(at_once.is_problem(503, "expired")["detail"].as_str().unwrap().contains("nothing happened"));
    assert_eq!(at_once.header("retry-after"), Some("1"));
    server.open_gate();
    let answer = server.post_with("/v1/cart/c-3/create-cart", &[("prefer", "wait=5")], &body).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (200, Some("wait=5")));
}

#[tokio::test]
async fn every_response_carries_ids() {
    let server = Server::start().await;
    for path in ["/health/live", "/nowhere", "/v1/cart/none", "/v1/cart/a%2Fb", "/metrics"] {
        let answer = server.get(path).await;
        assert_eq!(answer.header("x-request-id").map(str::len), Some(36), "{path}");
        assert_eq!(answer.header("traceparent").map(str::len), Some(55), "{path}");
        let given = server.get_with(path, &[("x-request-id", "mine"), ("traceparent", TRACE)]).await;
        assert_eq!((given.header("x-request-id"), given.header("traceparent")), (Some("mine"), Some(TRACE)));
    }
}

#[tokio::test]
async fn an_id_that_could_do_harm_in_a_log_is_replaced() {
    let server = Server::start().await;
    for id in ["", "two words", &"x".repeat(129)] {
        let answer = server.get_with("/health/live", &[("x-request-id", id)]).await;
        assert_eq!(answer.header("x-request-id").map(str::len), Some(36), "{id:?}");
    }
}

#[tokio::test]
async fn a_correlation_id_that_cannot_be_kept_is_refused() {
    let server = Server::start().await;
    for id in ["", "two words", &"x".repeat(129)] {
        let refused = server
            .refused_post("/v1/cart/c-1/create-cart", &[("x-correlation-id", id)], &json!({"owner": "Ada"}))
            .await;
        assert_eq!(refused.is_problem(400, "invalid-header")["header"], "X-Correlation-Id", "{id:?}");
    }
}

#[tokio::test]
async fn every_response_says_what_caches_may_do_with_it() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    let found = [
        "/v1/cart/c-1",
        "/v1/cart/c-1/events",
        "/v1/commands/cart/c-1/key",
        "/v1/events",
        "/v1/views",
        "/v1/views/none/key",
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/admin/quarantine",
        "/admin/config",
        "/nowhere",
        "/v1/cart/none",
        "/v1/cart/c-1/clear",
    ];
    for path in found {
        let answer = server.get(path).await;
        let directive = answer.header("cache-control");
        assert!(matches!(directive, Some("no-store" | "no-cache")), "{path}: {directive:?}");
    }
    assert_eq!(server.post("/v1/cart/c-1/clear", &json!({})).await.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn an_invalid_trace_is_ignored_and_a_new_one_begins() {
    let server = Server::start().await;
    let invalid = TRACE.replacen("4bf9", "4BF9", 1);
    let headers = [("traceparent", invalid.as_str())];
    let answer = server.post_with("/v1/cart/c-1/create-cart", &headers, &json!({"owner": "Ada"})).await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.header("traceparent"), Some(invalid.as_str()));
    let events = server.get("/v1/cart/c-1/events").await.json();
    assert_eq!(events["events"][0]["metadata"].get("traceparent"), None);
}

#[tokio::test]
async fn ids_are_stored_in_the_metadata_of_the_events() {
    let server = Server::start().await;
    let (create, body) = ("create-cart", json!({"owner": "Ada"}));
    let headers = [("x-request-id", "r-1"), ("traceparent", TRACE), ("idempotency-key", "k-1")];
    server.post_with(&format!("/v1/cart/c-1/{create}"), &headers, &body).await;
    let metadata = server.get("/v1/cart/c-1/events").await.json()["events"][0]["metadata"].clone();
    assert_eq!((&metadata["correlation"], &metadata["traceparent"]), (&json!("r-1"), &json!(TRACE)));
    let command = json!({"name": "CreateCart", "events": 1, "key": "k-1", "reply": {"lines": 0}});
    assert_eq!(metadata["command"], command);
    let headers = [("x-request-id", "r-2"), ("x-correlation-id", "conversation-7")];
    server.post_with(&format!("/v1/cart/c-2/{create}"), &headers, &body).await;
    let events = server.get("/v1/cart/c-2/events").await.json();
    assert_eq!(events["events"][0]["metadata"]["correlation"], "conversation-7");
}

//! Commands that are carried out, and invalid bodies.

use axum::body::Body;
use axum::http::Method;
use serde_json::json;

use super::support::{Server, request};

#[tokio::test]
async fn a_command_is_answered_with_its_outcome() {
    let server = Server::start().await;
    let answer = server.post("/v1/cart/c-1/create-cart", &json!({"owner": "Ada"})).await;
    assert_eq!(answer.status, 200);
    let expected = json!({
        "aggregate": "cart", "id": "c-1", "version": 1, "position": 1,
        "events": [{"type": "Created", "version": 1}], "reply": {"lines": 0},
    });
    assert_eq!(answer.json(), expected);
    assert!(answer.header("etag").unwrap().starts_with("\"1-"));
    assert_eq!(answer.position(), Some("1"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("idempotency-replayed"), None);
}

#[tokio::test]
async fn the_future_of_a_request_is_small_because_every_connection_keeps_room_for_one() {
    let server = Server::start().await;
    let future = server.service.answer(request(Method::GET, "/v1/cart/c-1", &[], Body::empty()));
    assert!(size_of_val(&future) <= 4 << 10, "{} bytes", size_of_val(&future));
}

#[tokio::test]
async fn a_command_may_make_several_events_or_none() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    let answer = server.post("/v1/cart/c-1/look", &json!({})).await.json();
    assert_eq!((&answer["version"], &answer["position"], &answer["events"]), (&json!(3), &json!(3), &json!([])));
}

#[tokio::test]
async fn an_id_may_be_anything_that_its_rule_allows() {
    let server = Server::start().await;
    for (path, id) in [("a%20b", "a b"), ("%C3%BC@x", "ü@x"), ("a+b", "a+b"), ("100%25", "100%")] {
        let answer = server.post(&format!("/v1/cart/{path}/create-cart"), &json!({"owner": "Ada"})).await;
        assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(id)));
        assert_eq!(server.get(&format!("/v1/cart/{path}")).await.json()["id"], id);
    }
}

#[tokio::test]
async fn a_command_without_fields_needs_neither_body_nor_content_type() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    let answer = server.send(request(Method::POST, "/v1/cart/c-1/clear", &[], Body::empty())).await;
    assert_eq!((answer.status, &answer.json()["reply"]), (200, &json!({"lines": 0})));
}

#[tokio::test]
async fn a_dry_run_has_the_same_outcome_and_changes_nothing() {
    let server = Server::start().await;
    let body = json!({"owner": "Ada"});
    let dry = server.post("/v1/cart/c-1/create-cart?dry_run=true", &body).await;
    assert_eq!(server.head(), 0);
    assert_eq!((dry.header("etag"), dry.position()), (None, None));
    let (mut dry, wet) = (dry.json(), server.post("/v1/cart/c-1/create-cart?dry_run=false", &body).await.json());
    assert_eq!(dry["position"], json!(null));
    dry["position"] = wet["position"].clone();
    assert_eq!(dry, wet);
    let refused = server.refused_post("/v1/cart/c-1/create-cart?dry_run=true", &[], &body).await;
    assert_eq!(refused.is_problem(422, "rejected")["code"], "cart-taken");
    let unclear = server.refused_post("/v1/cart/c-2/create-cart?dry_run=yes", &[], &body).await;
    assert_eq!(unclear.is_problem(400, "invalid-parameter")["parameter"], "dry_run");
    let unknown = server.refused_post("/v1/cart/c-2/create-cart?dryrun=true", &[], &body).await;
    assert_eq!(unknown.is_problem(400, "unknown-parameter")["parameter"], "dryrun");
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_with_line_and_column() {
    let server = Server::start().await;
    let send = |body| request(Method::POST, "/v1/cart/c-1/create-cart", &[("content-type", "application/json")], body);
    let broken = server.refused(send(Body::from("{\"owner\": "))).await;
    assert_eq!(broken.is_problem(400, "malformed-json")["line"], 1);
    let trailing = server.refused(send(Body::from("{\"owner\": \"Ada\"} {}"))).await;
    assert!(trailing.is_problem(400, "malformed-json")["detail"].as_str().unwrap().contains("trailing"));
    let deep = format!("{{\"owner\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(server.refused(send(Body::from(deep))).await.status, 400);
    let deep = format!("{{\"owner\": \"a\", \"x\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(server.refused(send(Body::from(deep))).await.status, 400);
    assert_eq!(server.refused(send(Body::from(vec![b'"', 0xff, b'"']))).await.status, 400);
}

#[tokio::test]
async fn a_wrong_field_is_named_by_its_path() {
    let server = Server::start().await;
    let path = "/v1/cart/c-1/add-lines";
    let wrong = json!({"lines": [{"sku": "tea", "quantity": 1}, {"sku": "cup", "quantity": -1}]});
    let wrong = server.refused_post(path, &[], &wrong).await.is_problem(400, "invalid-body");
    assert_eq!(wrong["field"], "lines[1].quantity");
    assert!(wrong["detail"].as_str().unwrap().contains("invalid value: integer `-1`, expected u32"), "{wrong}");
    let missing = server.refused_post(path, &[], &json!({"lines": [{"sku": "tea"}]})).await;
    assert_eq!(missing.is_problem(400, "invalid-body")["field"], "lines[0].quantity");
    let unknown = json!({"lines": [{"sku": "tea", "quantity": 1, "colour": "green"}]});
    let unknown = server.refused_post(path, &[], &unknown).await.is_problem(400, "unknown-field");
    assert_eq!(unknown["field"], "lines[0].colour");
    let without = server.refused_post("/v1/cart/c-1/clear", &[], &json!({"all": true})).await;
    assert_eq!(without.is_problem(400, "unknown-field")["field"], "all");
}

#[tokio::test]
async fn a_body_must_have_the_media_type_of_json() {
    let server = Server::start().await;
    let send = |headers: &[(&str, &str)], body| request(Method::POST, "/v1/cart/c-1/create-cart", headers, body);
    let body = || Body::from("{\"owner\": \"Ada\"}");
    for content_type in ["text/plain", "application/json-patch+json", "application/x-www-form-urlencoded", ""] {
        let answer = server.refused(send(&[("content-type", content_type)], body())).await;
        answer.is_problem(415, "unsupported-media-type");
    }
    server.refused(send(&[], body())).await.is_problem(415, "unsupported-media-type");
    let twice = [("content-type", "application/json"), ("content-type", "application/json")];
    server.refused(send(&twice, body())).await.is_problem(415, "unsupported-media-type");
    let answer = server.send(send(&[("content-type", "Application/JSON; charset=utf-8")], body())).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_body_must_not_be_encoded() {
    let server = Server::start().await;
    let (path, body) = ("/v1/cart/c-1/create-cart", json!({"owner": "Ada"}));
    for encoding in ["gzip", "br", "identity, GZIP", "nonsense"] {
        let answer = server.refused_post(path, &[("content-encoding", encoding)], &body).await;
        let problem = answer.is_problem(415, "unsupported-content-encoding");
        let named = encoding.rsplit(' ').next().unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(named), "{problem}");
        assert_eq!(problem["header"], "Content-Encoding");
    }
    assert_eq!(server.post_with(path, &[("content-encoding", "Identity")], &body).await.status, 200);
}

#[tokio::test]
async fn the_outcome_of_a_command_can_be_read_by_its_key() {
    let server = Server::start().await;
    let key = [("idempotency-key", "k%1")];
    let first = server.post_with("/v1/cart/c-1/create-cart", &key, &json!({"owner": "Ada"})).await;
    let later = server.get("/v1/commands/cart/c-1/k%251").await;
    assert_eq!((later.status, later.json()), (200, first.json()));
    assert_eq!(later.position(), Some("1"));
    server.get("/v1/commands/cart/c-1/other").await.is_problem(404, "command-not-found");
    server.get("/v1/commands/cart/c-2/k%251").await.is_problem(404, "command-not-found");
    server.get("/v1/commands/cat/c-1/k").await.is_problem(404, "unknown-aggregate-type");
    server.get("/v1/commands/cart/c-1/a%20b").await.is_problem(400, "invalid-command-key");
    server.get("/v1/commands/cart/c%2F1/k").await.is_problem(400, "invalid-aggregate-id");
}

//! Many commands in one request.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::Method;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::support::{Answer, Server, request};

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn bulk(body: impl Into<Body>) -> axum::extract::Request {
    request(Method::POST, "/v1/commands", &[NDJSON], body.into())
}

fn create(id: &str) -> String {
    json!({"type": "cart", "id": id, "command": "create-cart", "body": {"owner": "Ada"}}).to_string()
}

fn add(id: &str, quantity: u32) -> String {
    let body = json!({"lines": [{"sku": "tea", "quantity": quantity}]});
    json!({"type": "cart", "id": id, "command": "AddLines", "body": body}).to_string()
}

impl Answer {
    #[track_caller]
    fn lines(&self) -> Vec<Value> {
        assert_eq!((self.status, self.header("content-type")), (200, Some(NDJSON.1)), "{self:?}");
        self.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A body whose lines a test sends one by one.
fn channel() -> (mpsc::UnboundedSender<String>, Body) {
    let (sender, mut lines) = mpsc::unbounded_channel::<String>();
    let stream = futures_util::stream::poll_fn(move |context| lines.poll_recv(context));
    (sender, Body::from_stream(stream.map(|line| Ok::<_, Infallible>(Bytes::from(line + "\n")))))
}

/// The next whole line of a response.
async fn line(body: &mut Body, rest: &mut String) -> Option<Value> {
    while !rest.contains('\n') {
        let frame = body.frame().await?.unwrap();
        rest.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    let (line, behind) = rest.split_once('\n').unwrap();
    let line = serde_json::from_str(line).unwrap();
    *rest = behind.to_owned();
    Some(line)
}

#[tokio::test]
async fn each_line_is_answered_like_a_command_of_its_own() {
    let server = Server::start().await;
    let text = [create("c-1"), String::new(), add("c-1", 2), create("c-1"), create("c-2")].join("\r\n");
    let lines = server.send(bulk(text)).await.lines();
    let numbers: Vec<_> = lines.iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 3, 4, 5]);
    let alone = server.post("/v1/cart/c-3/create-cart", &json!({"owner": "Ada"})).await.json();
    let mut first = lines[0]["outcome"].clone();
    (first["id"], first["position"]) = (alone["id"].clone(), alone["position"].clone());
    assert_eq!((&lines[0]["status"], first), (&json!(200), alone));
    assert!(lines[0]["etag"].as_str().unwrap().starts_with("\"1-"));
    assert_eq!(lines[1]["outcome"]["version"], 2);
    let refused = &lines[2];
    assert_eq!((&refused["status"], &refused["problem"]["code"]), (&json!(422), &json!("cart-taken")));
    assert_eq!(refused["problem"]["status"], 422);
    assert_eq!(lines[3]["status"], 200);
}

#[tokio::test]
async fn an_invalid_line_is_answered_with_its_number_and_the_others_are_carried_out() {
    let server = Server::with(|config| config.gateway.max_body = "200B".parse().unwrap()).await;
    let unknown_type = json!({"type": "card", "id": "c-1", "command": "clear"}).to_string();
    let unknown_command = json!({"type": "cart", "id": "c-1", "command": "cleer"}).to_string();
    let unknown_field = json!({"type": "cart", "id": "c-1", "command": "clear", "body": {"why": 1}}).to_string();
    let too_long = format!("{{\"type\":\"{}", "x".repeat(300));
    let text = [create("c-1"), "{".to_owned(), too_long, unknown_type, unknown_command, unknown_field, create("c-2")];
    let lines = server.send(bulk(text.join("\n"))).await.lines();
    let results: Vec<_> =
        lines.iter().map(|line| (line["status"].as_u64().unwrap(), line["problem"]["type"].as_str())).collect();
    let problem = |status, slug: &'static str| (status, Some(slug));
    let expected = [
        (200, None),
        problem(400, "urn:dormouse:problem:malformed-json"),
        problem(413, "urn:dormouse:problem:body-too-large"),
        problem(404, "urn:dormouse:problem:unknown-aggregate-type"),
        problem(404, "urn:dormouse:problem:unknown-command"),
        problem(400, "urn:dormouse:problem:unknown-field"),
        (200, None),
    ];
    assert_eq!(results, expected);
    assert_eq!(lines[3]["problem"]["nearest"], "cart");
    assert_eq!(lines[6]["line"], 7);
}

#[tokio::test]
async fn commands_of_one_aggregate_are_carried_out_in_the_order_of_their_lines() {
    let server = Server::start().await;
    let lines = |id: usize| move |quantity| add(&format!("c-{id}"), quantity);
    let text: Vec<_> = (1..=300).flat_map(|quantity| (0..5).map(move |id| lines(id)(quantity))).collect();
    let answers = server.send(bulk(text.join("\n"))).await.lines();
    assert!(answers.iter().zip(1..).all(|(answer, number)| answer["line"] == number && answer["status"] == 200));
    for id in 0..5 {
        let state = server.get(&format!("/v1/cart/c-{id}")).await.json();
        let quantities: Vec<_> =
            state["state"]["lines"].as_array().unwrap().iter().map(|line| line["quantity"].as_u64().unwrap()).collect();
        assert_eq!(quantities, (1..=300).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_line_with_a_key_is_carried_out_once() {
    let server = Server::start().await;
    let keyed = |quantity| add("c-1", quantity).replacen('{', "{\"key\":\"k-1\",", 1);
    let lines = server.send(bulk([keyed(1), keyed(1), keyed(2)].join("\n"))).await.lines();
    assert_eq!((&lines[0]["key"], &lines[0]["replayed"]), (&json!("k-1"), &Value::Null));
    assert_eq!((&lines[1]["replayed"], &lines[1]["outcome"]), (&json!(true), &lines[0]["outcome"]));
    assert_eq!(lines[2]["problem"]["type"], "urn:dormouse:problem:key-reused");
    assert_eq!(server.head(), 1);
}

#[tokio::test]
async fn a_line_may_require_a_version() {
    let server = Server::start().await;
    let at = |version: u64| add("c-1", 1).replacen('{', &format!("{{\"expected_version\":{version},"), 1);
    let lines = server.send(bulk([at(0), at(1), at(1), at(2)].join("\n"))).await.lines();
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 412, 200]);
}

#[tokio::test]
async fn a_dry_run_of_many_lines_changes_nothing() {
    let server = Server::start().await;
    let dry = request(Method::POST, "/v1/commands?dry_run=true", &[NDJSON], Body::from(create("c-1")));
    let lines = server.send(dry).await.lines();
    assert_eq!((&lines[0]["status"], server.head()), (&json!(200), 0));
}

#[tokio::test]
async fn answers_come_while_lines_are_still_sent() {
    let server = Server::start().await;
    let (sender, body) = channel();
    sender.send(create("c-1")).unwrap();
    let response = server.service.answer(bulk(body)).await;
    let (mut answers, mut rest) = (response.into_body(), String::new());
    assert_eq!(line(&mut answers, &mut rest).await.unwrap()["line"], 1);
    sender.send(create("c-2")).unwrap();
    assert_eq!(line(&mut answers, &mut rest).await.unwrap()["line"], 2);
    drop(sender);
    assert_eq!(line(&mut answers, &mut rest).await, None);
}

#[tokio::test]
async fn no_more_is_read_from_a_client_that_takes_no_answers() {
    let server = Server::with(|config| config.gateway.bulk_lines = 4.try_into().unwrap()).await;
    let (sender, body) = channel();
    (0..100).for_each(|id| sender.send(create(&format!("c-{id}"))).unwrap());
    let response = server.service.answer(bulk(body)).await;
    let (mut answers, mut rest) = (response.into_body(), String::new());
    assert_eq!(line(&mut answers, &mut rest).await.unwrap()["line"], 1);
    server.engine.journal().flush().await;
    assert!(server.head() <= 8, "{} were carried out", server.head());
    drop(sender);
    let mut last = 0;
    while let Some(answer) = line(&mut answers, &mut rest).await {
        last = answer["line"].as_u64().unwrap();
    }
    assert_eq!((last, server.head()), (100, 100));
}

#[tokio::test]
async fn lines_of_many_requests_wait_for_permits_instead_of_being_refused() {
    let server = Server::with(|config| {
        config.admission.per_node = 2.try_into().unwrap();
        config.admission.per_aggregate = 1.try_into().unwrap();
    });
    let server = server.await;
    let text = |of: usize| (0..40).map(|id| create(&format!("c-{of}-{id}"))).collect::<Vec<_>>().join("\n");
    let (one, other) = tokio::join!(server.send(bulk(text(1))), server.send(bulk(text(2))));
    assert!(one.lines().iter().chain(&other.lines()).all(|line| line["status"] == 200));
    assert_eq!(server.head(), 80);
}

#[tokio::test]
async fn a_command_that_was_not_carried_out_holds_back_later_ones_of_its_aggregate() {
    let server = Server::start().await;
    let explode = json!({"type": "cart", "id": "c-1", "command": "explode"}).to_string();
    // The aggregate panics, is restarted after a pause, and panics again, until it is not restarted any more.
    let text = [vec![explode; 30], vec![create("c-1"), create("c-2")]].concat().join("\n");
    let lines = server.send(bulk(text)).await.lines();
    let slug = |at: usize| lines[at]["problem"]["type"].as_str().map(|slug| slug.rsplit(':').next().unwrap());
    assert_eq!((slug(0), slug(30), slug(31)), (Some("aggregate-failed"), Some("held-back"), None));
}

#[tokio::test]
async fn a_server_that_shuts_down_answers_the_lines_it_has_and_says_that_it_reads_no_more() {
    let server = Server::start().await;
    let (sender, body) = channel();
    sender.send(create("c-1")).unwrap();
    let response = server.service.answer(bulk(body)).await;
    let (mut answers, mut rest) = (response.into_body(), String::new());
    assert_eq!(line(&mut answers, &mut rest).await.unwrap()["status"], 200);
    server.service.streams().end();
    let end = line(&mut answers, &mut rest).await.unwrap();
    assert_eq!((&end["line"], &end["status"]), (&Value::Null, &json!(503)));
    assert_eq!(end["problem"]["type"], "urn:dormouse:problem:draining");
    drop(sender);
    assert_eq!(line(&mut answers, &mut rest).await, None);
    let refused = server.send(bulk(create("c-2"))).await;
    refused.is_problem(503, "draining");
}

#[tokio::test]
async fn an_invalid_request_is_refused_as_a_whole() {
    let server = Server::start().await;
    let typed =
        |media_type| request(Method::POST, "/v1/commands", &[("content-type", media_type)], Body::from(create("c")));
    server.refused(typed("application/json")).await.is_problem(415, "unsupported-media-type");
    server.refused(bulk(Body::empty())).await.is_problem(400, "invalid-body");
    let keyed = request(Method::POST, "/v1/commands", &[NDJSON, ("idempotency-key", "k")], Body::from(create("c")));
    server.refused(keyed).await.is_problem(400, "invalid-header");
    let get = server.get("/v1/commands").await;
    get.is_problem(405, "method-not-allowed");
    let blank = server.send(bulk(" \n\n")).await.lines();
    assert_eq!((blank.len(), &blank[0]["status"]), (1, &json!(400)));
}

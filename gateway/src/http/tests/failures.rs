//! Refused and failed requests, and their problems.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::Method;
use axum::routing::get;
use hyper::body::Frame;
use serde_json::json;
use tokio::time::Instant;

use super::support::{Answer, Server, request};

/// A body in parts without a known length, which may never end.
struct Pieces {
    pieces: VecDeque<Bytes>,
    ends: bool,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

fn pieces<const N: usize>(pieces: [&'static str; N], ends: bool) -> Body {
    Body::new(Pieces { pieces: pieces.into_iter().map(Bytes::from).collect(), ends })
}

const JSON: (&str, &str) = ("content-type", "application/json");
const CREATE: &str = "/v1/cart/c-1/create-cart";

#[tokio::test]
async fn a_connection_stays_open_if_the_body_that_no_handler_needs_can_be_read() {
    let server = Server::start().await;
    for (ends, connection) in [(true, None), (false, Some("close"))] {
        let pause = request(Method::POST, "/admin/listeners/messages/pause", &[JSON], pieces(["{", "}"], ends));
        let answer = server.send(pause).await;
        assert_eq!((answer.status, answer.header("connection")), (200, connection), "{answer:?}");
    }
}

#[tokio::test]
async fn an_unknown_address_is_a_problem() {
    let server = Server::start().await;
    for path in ["/", "/nowhere", "/v1", "/v1/cart", "/v1/cart/", "/v1/cart/a/b/c", "/health/"] {
        server.get(path).await.is_problem(404, "unknown-route");
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_problem_that_lists_the_right_ones() {
    let server = Server::start().await;
    for (method, path, allowed) in [
        (Method::GET, CREATE, "POST"),
        (Method::DELETE, "/v1/cart/c-1", "GET,HEAD"),
        (Method::POST, "/v1/cart/c-1/events", "GET,HEAD"),
        (Method::PUT, "/health", "GET,HEAD"),
        (Method::GET, "/admin/aggregates/cart/c-1/release", "POST"),
    ] {
        let answer = server.refused(request(method, path, &[], Body::empty())).await;
        answer.is_problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allowed), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_type_is_answered_with_the_known_ones() {
    let server = Server::start().await;
    for path in ["/v1/kart/c-1", "/v1/kart/c-1/events", "/v1/commands/kart/c-1/k", "/v1/CART/c-1"] {
        let problem = server.get(path).await.is_problem(404, "unknown-aggregate-type");
        assert_eq!(problem["nearest"], "cart");
        assert!(problem["detail"].as_str().unwrap().contains("known: cart"), "{problem}");
    }
    server.refused_post("/v1/kart/c-1/clear", &[], &json!({})).await.is_problem(404, "unknown-aggregate-type");
}

#[tokio::test]
async fn an_unknown_command_is_answered_with_the_nearest() {
    let server = Server::start().await;
    for (segment, nearest) in [("create", "create-cart"), ("CreateCart", "create-cart"), ("add-line", "add-lines")] {
        let answer = server.refused_post(&format!("/v1/cart/c-1/{segment}"), &[], &json!({})).await;
        assert_eq!(answer.is_problem(404, "unknown-command")["nearest"], nearest);
    }
}

#[tokio::test]
async fn a_command_that_only_the_application_sends_is_refused_and_not_described() {
    let server = Server::start().await;
    server.refused_post("/v1/cart/c-1/expire", &[], &json!({})).await.is_problem(403, "internal-command");
    let later = server.refused_post("/v1/cart/c-1/expire", &[("prefer", "respond-async")], &json!({})).await;
    later.is_problem(403, "internal-command");
    let line = r#"{"type": "cart", "id": "c-1", "command": "Expire"}"#;
    let bulk = request(Method::POST, "/v1/commands", &[("content-type", "application/x-ndjson")], line.into());
    assert!(server.send(bulk).await.text.contains("internal-command"));

    let unknown = server.refused_post("/v1/cart/c-1/expired", &[], &json!({})).await;
    let unknown = unknown.is_problem(404, "unknown-command");
    assert!(!unknown["detail"].as_str().unwrap().contains("expire,"), "{unknown}");
    let described = server.get("/openapi.json").await.json();
    assert_eq!(described["paths"].get("/v1/cart/{id}/expire"), None);
    assert!(described["paths"].get("/v1/cart/{id}/clear").is_some());
}

#[tokio::test]
async fn an_invalid_id_is_a_problem() {
    let server = Server::start().await;
    let long = "x".repeat(129);
    for id in ["", &long, "a%2Fb", "a%0Ab", "%00", "%FF", "%zz", "a%", "%2E%2E", "%C3%28"] {
        let post = server.refused_post(&format!("/v1/cart/{id}/create-cart"), &[], &json!({"owner": "Ada"})).await;
        post.is_problem(400, "invalid-aggregate-id");
        server.get(&format!("/v1/cart/{id}/events")).await.is_problem(400, "invalid-aggregate-id");
    }
    server.get("/v1/cart/a%2Fb").await.is_problem(400, "invalid-aggregate-id");
    let longest = "x".repeat(128);
    assert_eq!(server.post(&format!("/v1/cart/{longest}/create-cart"), &json!({"owner": "Ada"})).await.status, 200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_however_it_comes() {
    let server = Server::with(|config| config.gateway.max_body = "20 B".parse().unwrap()).await;
    let text = |length: usize| format!("{{\"owner\":\"{}\"}}", "x".repeat(length - 12));
    let announced = request(Method::POST, CREATE, &[JSON, ("content-length", "21")], Body::from(text(21)));
    assert_eq!(server.refused(announced).await.is_problem(413, "body-too-large")["max_bytes"], 20);
    let chunked = request(Method::POST, CREATE, &[JSON], pieces(["{\"owner\":", "\"xxxxxxxxxx\"}"], true));
    server.refused(chunked).await.is_problem(413, "body-too-large");
    let elsewhere = request(Method::GET, "/health", &[("content-length", "21")], Body::empty());
    server.refused(elsewhere).await.is_problem(413, "body-too-large");
    let fits = request(Method::POST, CREATE, &[JSON, ("content-length", "20")], Body::from(text(20)));
    assert_eq!(server.send(fits).await.status, 200);
    let in_pieces = request(Method::POST, "/v1/cart/c-2/create-cart", &[JSON], pieces(["{\"owner\"", ":\"x\"}"], true));
    assert_eq!(server.send(in_pieces).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_may_arrive_until_the_deadline_of_its_command() {
    let server = Server::start().await;
    for (headers, seconds) in [(vec![JSON], 30), (vec![JSON, ("prefer", "wait=2")], 2)] {
        let asked = Instant::now();
        let stalled = request(Method::POST, CREATE, &headers, pieces(["{\"owner\":"], false));
        let answer = server.refused(stalled).await;
        let problem = answer.is_problem(408, "request-timeout");
        assert!(problem["detail"].as_str().unwrap().contains("nothing happened"), "{problem}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(asked.elapsed().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_ended() {
    let server = Server::routing(Router::new().route("/", get(std::future::pending::<()>))).await;
    let asked = Instant::now();
    server.get("/").await.is_problem(504, "timeout");
    assert_eq!(asked.elapsed().as_secs(), 35);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_takes_too_long_leaves_the_outcome_unknown() {
    let server = Server::start().await;
    server.shut_gate();
    let answer = server.post_with(CREATE, &[("idempotency-key", "k-1")], &json!({"owner": "Ada"})).await;
    answer.is_problem(504, "outcome-unknown");
    server.open_gate();
    server.engine.journal().flush().await;
    let outcome = server.get("/v1/commands/cart/c-1/k-1").await;
    assert_eq!((outcome.status, &outcome.json()["version"]), (200, &json!(1)));
}

#[tokio::test]
async fn a_panic_of_a_handler_is_a_problem_without_internals() {
    async fn handler() -> &'static str {
        panic!("at /secret/path")
    }
    let server = Server::routing(Router::new().route("/", get(handler))).await;
    let problem = server.get("/").await.is_problem(500, "internal");
    assert!(!problem.to_string().contains("secret"));
}

#[tokio::test]
async fn a_rejection_has_its_text_and_its_code() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    let problem = server.refused_post(CREATE, &[], &json!({"owner": "Bob"})).await.is_problem(422, "rejected");
    assert_eq!(
        (&problem["code"], &problem["detail"]),
        (&json!("cart-taken"), &json!("the cart belongs to Ada already"))
    );
}

#[tokio::test]
async fn a_panic_of_the_domain_is_a_problem_without_internals() {
    let server = Server::start().await;
    let answer = server.refused_post("/v1/cart/c-1/explode", &[], &json!({})).await;
    answer.is_problem(500, "aggregate-failed");
    assert!(!answer.text.contains("secret"));
    assert_eq!(server.post(CREATE, &json!({"owner": "Ada"})).await.status, 200);
}

#[tokio::test]
async fn overload_is_refused_at_once_with_a_time_to_retry() {
    let per_aggregate = Server::with(|config| config.admission.per_aggregate = 1.try_into().unwrap()).await;
    let per_node = Server::with(|config| config.admission.per_node = 1.try_into().unwrap()).await;
    for (server, status, slug) in [(per_aggregate, 429, "aggregate-overloaded"), (per_node, 503, "node-overloaded")] {
        server.shut_gate();
        let body = Body::from("{\"owner\": \"Ada\"}");
        let first = server.begin(request(Method::POST, CREATE, &[JSON], body));
        server.has_under_way(1).await;
        let answer = server.post("/v1/cart/c-1/look", &json!({})).await;
        answer.is_problem(status, slug);
        assert_eq!(answer.header("retry-after"), Some("1"));
        server.open_gate();
        assert_eq!(first.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_key_whose_command_is_in_flight_is_refused() {
    let server = Server::start().await;
    server.shut_gate();
    let headers = [JSON, ("idempotency-key", "k-1")];
    let body = Body::from("{\"owner\": \"Ada\"}");
    let first = server.begin(request(Method::POST, CREATE, &headers, body));
    server.has_under_way(1).await;
    let again = server.post_with(CREATE, &[("idempotency-key", "k-1")], &json!({"owner": "Ada"})).await;
    again.is_problem(409, "key-in-flight");
    assert_eq!(again.header("retry-after"), Some("1"));
    server.open_gate();
    assert_eq!(first.await.unwrap().status, 200);
}

#[tokio::test]
async fn the_connection_closes_if_the_rest_of_a_refused_body_is_large_or_slow() {
    let server = Server::start().await;
    let path = "/v1/cart/c-1/no-such-command";
    let posted =
        |path: &'static str, body: Body| request(Method::POST, path, &[("content-type", "application/json")], body);
    let is_kept = |answer: &Answer| answer.header("connection").is_none();

    let small = server.send(posted(path, Body::from("{}"))).await;
    small.is_problem(404, "unknown-command");
    assert!(is_kept(&small), "{small:?}");
    let in_pieces = server.send(posted(path, pieces(["{", "}"], true))).await;
    assert!(is_kept(&in_pieces), "{in_pieces:?}");

    let large = server.send(posted(path, Body::from(" ".repeat(200 << 10)))).await;
    large.is_problem(404, "unknown-command");
    assert_eq!(large.header("connection"), Some("close"), "{large:?}");
    let slow = server.send(posted(path, pieces(["{"], false))).await;
    assert_eq!(slow.header("connection"), Some("close"), "{slow:?}");
}

#[tokio::test]
async fn a_host_of_another_name_and_a_page_of_another_site_are_refused() {
    let server = Server::with(|config| config.gateway.hosts = vec!["shop.example.org".parse().unwrap()]).await;
    server.fill_cart("c-1").await;
    let to = |host: &'static str, more: &[(&'static str, &'static str)]| {
        let mut request = request(Method::POST, "/v1/cart/c-1/clear", more, Body::from("{}"));
        request.headers_mut().insert("host", host.parse().unwrap());
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        request
    };
    server.refused(to("evil.net", &[])).await.is_problem(421, "unknown-host");
    server.refused(to("localhost", &[("origin", "http://evil.net")])).await.is_problem(403, "cross-site");
    assert_eq!(server.send(to("shop.example.org", &[("sec-fetch-site", "same-origin")])).await.status, 200);
}

//! Events as pages of the log, and as streams.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use dormouse_config::Config;
use serde_json::{Value, json};

use super::following::{Following, Message};
use super::support::{Server, request};

/// A server whose streams send heartbeats often.
async fn lively() -> Server {
    Server::with(often).await
}

fn often(config: &mut Config) {
    config.gateway.stream_heartbeat = Duration::from_millis(100);
}

fn ids(events: &[(u64, Value)]) -> Vec<u64> {
    events.iter().map(|(id, _)| *id).collect()
}

async fn add_line(server: &Server, id: &str) {
    let lines = json!({"lines": [{"sku": "tea", "quantity": 1}]});
    let answer = server.post(&format!("/v1/cart/{id}/add-lines"), &lines).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn the_log_comes_in_pages_in_the_order_of_commits() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    server.fill_cart("c-2").await;
    let whole = server.get("/v1/events").await;
    assert_eq!(whole.header("vary"), Some("accept"));
    let whole = whole.json();
    assert_eq!((&whole["next"], &whole["position"]), (&Value::Null, &json!(6)));
    let fourth = &whole["events"][3];
    assert_eq!((&fourth["aggregate"], &fourth["id"]), (&json!("cart"), &json!("c-2")));
    assert_eq!((&fourth["position"], &fourth["version"], &fourth["type"]), (&json!(4), &json!(1), &json!("Created")));

    let mut events = Vec::new();
    let mut next = json!("/v1/events?limit=4");
    while let Some(path) = next.as_str() {
        let page = server.get(path).await.json();
        events.extend(page["events"].as_array().unwrap().clone());
        next = page["next"].clone();
    }
    assert_eq!(json!(events), whole["events"]);

    let filtered = server.get("/v1/events?type=cart&event=Created,Cleared&limit=1").await.json();
    assert_eq!(filtered["events"], json!([whole["events"][0]]));
    let next = filtered["next"].as_str().unwrap();
    assert!(
        next.starts_with("/v1/events?after=1-") && next.ends_with("&type=cart&event=Created,Cleared&limit=1"),
        "{next}"
    );
    let rest = server.get(filtered["next"].as_str().unwrap()).await.json();
    assert_eq!(rest["events"], json!([whole["events"][3]]));
    let last = server.get(rest["next"].as_str().unwrap()).await.json();
    assert_eq!(last, json!({"events": [], "next": null, "position": 6}));
    let latest = server.get("/v1/events?after=latest").await.json();
    assert_eq!(latest, json!({"events": [], "next": null, "position": 6}));
}

#[tokio::test]
async fn a_stream_shows_stored_events_and_then_new_ones() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    let mut following = server.follow("/v1/events").await;
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("vary", "accept"),
    ] {
        assert_eq!(following.headers[name], value);
    }
    assert_eq!(following.hear().await, Some(Message { id: Some(0), data: None }));
    let mut events = following.events(3).await;
    server.fill_cart("c-2").await;
    events.extend(following.events(3).await);
    assert_eq!(ids(&events), [1, 2, 3, 4, 5, 6]);
    let data: Vec<_> = events.into_iter().map(|(_, data)| data).collect();
    assert_eq!(json!(data), server.get("/v1/events").await.json()["events"]);
}

#[tokio::test]
async fn a_stream_of_an_aggregate_shows_its_events_and_no_others() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    server.fill_cart("c-2").await;
    let mut following = server.follow("/v1/cart/c-2/events").await;
    assert_eq!(following.hear().await, Some(Message { id: Some(0), data: None }));
    let mut events = following.events(3).await;
    for cart in ["c-1", "c-2", "c-1", "c-3", "c-2"] {
        add_line(&server, cart).await;
    }
    events.extend(following.events(2).await);
    assert_eq!(ids(&events), [1, 2, 3, 4, 5]);
    let data: Vec<_> = events.into_iter().map(|(_, data)| data).collect();
    assert_eq!(json!(data), server.get("/v1/cart/c-2/events").await.json()["events"]);

    let mut additions = server.follow("/v1/cart/c-2/events?event=LineAdded&after=3").await;
    assert_eq!(ids(&additions.events(2).await), [4, 5]);
}

#[tokio::test]
async fn an_event_committed_while_the_history_is_read_is_shown_once() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    let mut following = server.follow("/v1/cart/c-1/events").await;
    following.hear().await;
    let held = server.hold_reads();
    let hearing = tokio::spawn(async move { following.events(5).await });
    // The stream knows the earlier head, and reads a history that is longer by now.
    add_line(&server, "c-1").await;
    drop(held);
    add_line(&server, "c-1").await;
    assert_eq!(ids(&hearing.await.unwrap()), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_long_history_is_streamed_whole() {
    let server = Server::start().await;
    let lines: Vec<_> = (0..250).map(|quantity| json!({"sku": "tea", "quantity": quantity})).collect();
    for _ in 0..2 {
        assert_eq!(server.post("/v1/cart/c-1/add-lines", &json!({"lines": lines})).await.status, 200);
    }
    for path in ["/v1/cart/c-1/events", "/v1/events"] {
        assert_eq!(ids(&server.follow(path).await.events(500).await), (1..=500).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_stream_begins_after_its_clients_last_event() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    for path in ["/v1/events", "/v1/cart/c-1/events"] {
        let at = |query: &str| format!("{path}?{query}");
        assert_eq!(server.follow(&at("after=2")).await.event().await.0, 3);
        // A browser reconnects to its first address.
        let mut again = server.follow_on(&at("after=0"), 2).await;
        assert_eq!(again.hear().await, Some(Message { id: Some(2), data: None }));
        assert_eq!(again.event().await.0, 3);
    }
    let mut latest = server.follow("/v1/events?after=latest").await;
    assert_eq!(latest.hear().await, Some(Message { id: Some(3), data: None }));
    add_line(&server, "c-2").await;
    assert_eq!(latest.event().await.0, 4);
}

#[tokio::test]
async fn an_invalid_start_of_a_stream_is_refused() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    server.fill_cart("c-2").await;
    let (log, cart) = ("/v1/events", "/v1/cart/c-1/events");
    for path in [log, cart] {
        for id in ["-1", "x", "1.0", "latest", "9223372036854775808"] {
            let refused = server.refuses_to_stream(path, &[("last-event-id", id)]).await;
            assert_eq!(refused.is_problem(400, "invalid-header")["header"], "Last-Event-ID", "{id:?}");
        }
        for (query, slug) in [
            ("after=x", "invalid-parameter"),
            ("after=-1", "invalid-parameter"),
            ("limit=10", "unknown-parameter"),
            ("event=", "invalid-parameter"),
            ("event=Created,", "invalid-parameter"),
        ] {
            server.refuses_to_stream(&format!("{path}?{query}"), &[]).await.is_problem(400, slug);
        }
        let unknown = server.refuses_to_stream(&format!("{path}?event=LineAded"), &[]).await;
        assert_eq!(unknown.is_problem(404, "unknown-event-type")["nearest"], "LineAdded");
    }
    let unknown = server.refuses_to_stream("/v1/events?type=card", &[]).await;
    assert_eq!(unknown.is_problem(404, "unknown-aggregate-type")["nearest"], "cart");
    server.refuses_to_stream("/v1/cart/none/events", &[]).await.is_problem(404, "not-found");
    server.refuses_to_stream("/v1/cart/none/events?after=1", &[]).await.is_problem(404, "not-found");

    // A client that has seen more than the log has followed another journal.
    assert_eq!(
        server.refuses_to_stream(log, &[("last-event-id", "7")]).await.is_problem(409, "beyond-head")["position"],
        6
    );
    server.refuses_to_stream("/v1/events?after=7", &[]).await.is_problem(409, "beyond-head");
    server.get("/v1/events?after=7").await.is_problem(409, "beyond-head");
    server.refuses_to_stream(cart, &[("last-event-id", "4")]).await.is_problem(409, "beyond-head");
    server.refuses_to_stream("/v1/cart/c-1/events?after=4", &[]).await.is_problem(409, "beyond-head");
}

#[tokio::test]
async fn only_a_client_that_asks_for_a_stream_gets_one() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    for path in ["/v1/events", "/v1/cart/c-1/events"] {
        for accept in ["*/*", "application/json", "text/event-stream;q=0, */*"] {
            let page = server.get_with(path, &[("accept", accept)]).await;
            assert_eq!((page.status, page.header("content-type")), (200, Some("application/json")), "{accept}");
            assert_eq!(page.json()["events"].as_array().unwrap().len(), 3);
        }
        let headers = [("accept", "text/event-stream")];
        let head = server.send(request(Method::HEAD, path, &headers, Body::empty())).await;
        assert_eq!(
            (head.status, head.header("content-type"), head.text.as_str()),
            (200, Some("text/event-stream"), "")
        );
        let posted = server.send(request(Method::POST, path, &headers, Body::empty())).await;
        posted.is_problem(405, "method-not-allowed");
    }
    assert_eq!(server.service.streams().open_now(), 0);
}

#[tokio::test]
async fn a_stream_without_events_sends_heartbeats_and_how_far_it_has_read() {
    let server = lively().await;
    server.fill_cart("c-1").await;
    let mut rare = server.follow("/v1/events?event=Cleared").await;
    rare.read_to_id(3).await;
    rare.comment().await;
    add_line(&server, "c-1").await;
    rare.read_to_id(4).await;
    // After an interruption it resumes there, and misses nothing.
    assert_eq!(server.post("/v1/cart/c-1/clear", &json!({})).await.status, 200);
    let mut again = server.follow_on("/v1/events?event=Cleared", 4).await;
    assert_eq!((again.event().await.0, rare.event().await.0), (5, 5));

    let mut cart = server.follow("/v1/cart/c-1/events?event=Created").await;
    assert_eq!(cart.event().await.0, 1);
    cart.read_to_id(5).await;
    cart.comment().await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_until_one_ends() {
    let server = Server::with(|config| config.gateway.max_streams = 2.try_into().unwrap()).await;
    server.fill_cart("c-1").await;
    let one = server.follow("/v1/events").await;
    let _other = server.follow("/v1/cart/c-1/events").await;
    for path in ["/v1/events", "/v1/cart/c-1/events"] {
        let refused = server.refuses_to_stream(path, &[]).await;
        refused.is_problem(503, "too-many-streams");
        assert_eq!(refused.header("retry-after"), Some("5"));
    }
    assert_eq!(server.get("/v1/events").await.status, 200, "a page is not a stream");
    drop(one);
    server.follow("/v1/events").await.events(3).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_costs_one_page() {
    let server = Server::start().await;
    let lines: Vec<_> = (0..1000).map(|quantity| json!({"sku": "tea", "quantity": quantity})).collect();
    for _ in 0..10 {
        assert_eq!(server.post("/v1/cart/c-1/add-lines", &json!({"lines": lines})).await.status, 200);
    }
    let before = server.reads();
    let mut following = server.follow("/v1/cart/c-1/events").await;
    following.events(50).await;
    let page = server.reads() - before;
    following.events(40).await;
    assert!(page <= 2 && server.reads() - before == page, "{page} reads for the first page");
    following.events(20).await;
    assert_eq!(server.reads() - before, page + 1);
}

#[tokio::test]
async fn all_streams_end_at_a_shutdown_and_no_more_begin() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    let mut idle = server.follow("/v1/events?after=latest").await;
    idle.hear().await;
    let waiting = tokio::spawn(idle.ends());
    let (fresh, cart) = (server.follow("/v1/events").await, server.follow("/v1/cart/c-1/events?after=3").await);
    server.service.streams().end();
    waiting.await.unwrap();
    fresh.ends().await;
    cart.ends().await;
    server.refuses_to_stream("/v1/events", &[]).await.is_problem(503, "draining");
    assert_eq!(server.service.streams().open_now(), 0);
}

#[tokio::test]
async fn nothing_is_shown_before_it_is_durable() {
    let server = lively().await;
    server.fill_cart("c-1").await;
    let mut log = server.follow("/v1/events?after=3").await;
    let mut cart = server.follow("/v1/cart/c-1/events?after=3").await;
    server.shut_gate();
    let body = json!({}).to_string();
    let headers = [("content-type", "application/json")];
    let clearing = server.begin(request(Method::POST, "/v1/cart/c-1/clear", &headers, Body::from(body)));
    server.has_under_way(1).await;
    for following in [&mut log, &mut cart] {
        assert_eq!(following.hear().await, Some(Message { id: Some(3), data: None }));
        for _ in 0..3 {
            assert_eq!(following.hear().await, Some(Message::default()));
        }
    }
    assert_eq!(server.get("/v1/events?after=3").await.json()["events"], json!([]));
    server.open_gate();
    assert_eq!((log.event().await.0, cart.event().await.0), (4, 4));
    assert_eq!(clearing.await.unwrap().status, 200);
}

/// Takes some events, disconnects and reconnects, until it has seen `count` events. Checks that each is durable.
async fn follow_with_interruptions(server: &Server, path: &str, count: usize) -> Vec<(u64, Value)> {
    let mut seen: Vec<(u64, Value)> = Vec::new();
    let mut interruptions = 0;
    while seen.len() < count {
        let mut following: Following = match seen.last() {
            None => server.follow(path).await,
            Some((last, _)) => server.follow_on(path, *last).await,
        };
        for _ in 0..(1 + interruptions % 7).min(count - seen.len()) {
            let event = following.event().await;
            assert!(event.1["position"].as_u64().unwrap() <= server.head());
            seen.push(event);
        }
        interruptions += 1;
    }
    assert!(interruptions > count / 8, "{interruptions}");
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_reconnect_often_miss_nothing_and_see_nothing_twice() {
    const CARTS: usize = 4;
    const EACH: usize = 120;

    let server = Server::start().await;
    for cart in 0..CARTS {
        add_line(&server, &format!("c-{cart}")).await;
    }
    let writers: Vec<_> = (0..CARTS)
        .map(|cart| {
            let service = std::sync::Arc::clone(&server.service);
            tokio::spawn(async move {
                for number in 1..EACH {
                    let body = json!({"lines": [{"sku": "tea", "quantity": number}]}).to_string();
                    let path = format!("/v1/cart/c-{cart}/add-lines");
                    let headers = [("content-type", "application/json")];
                    let answer = service.answer(request(Method::POST, &path, &headers, Body::from(body))).await;
                    assert_eq!(answer.status(), 200);
                }
            })
        })
        .collect();

    let all = CARTS * EACH;
    let (log, cart, filtered) = tokio::join!(
        follow_with_interruptions(&server, "/v1/events", all),
        follow_with_interruptions(&server, "/v1/cart/c-1/events", EACH),
        follow_with_interruptions(&server, "/v1/events?type=cart&event=LineAdded", all),
    );
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(ids(&log), (1..=all as u64).collect::<Vec<_>>());
    assert_eq!(ids(&cart), (1..=EACH as u64).collect::<Vec<_>>());
    assert_eq!(filtered, log);
    let mut by_cart = BTreeMap::<String, Vec<Value>>::new();
    for (_, event) in log {
        by_cart.entry(event["id"].as_str().unwrap().to_owned()).or_default().push(event);
    }
    assert_eq!(by_cart["c-1"], cart.into_iter().map(|(_, event)| event).collect::<Vec<_>>());
    for (id, events) in by_cart {
        let page = server.get(&format!("/v1/cart/{id}/events?limit=1000")).await.json();
        assert_eq!(page["events"], json!(events), "{id}");
    }
}

//! Streams of events over the network, also across restarts of the server.

use std::thread;

use dormouse_harness::{Server, Wire};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PROGRAM, SOON, restock, server_in};

/// Requests a stream, after an id if there is one.
fn follow(server: &Server, path: &str, last_id: Option<u64>) -> Wire {
    let mut wire = Wire::connect(server.address());
    let last_id = last_id.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n{last_id}\r\n");
    assert!(wire.send(head));
    wire
}

/// The number in an id, without the mark of the history.
fn number(id: &str) -> u64 {
    id.split('-').next().unwrap().parse().unwrap()
}

/// The events that a stream has shown, with their ids.
fn shown(heard: &str) -> Vec<(u64, Value)> {
    let messages = heard.split("\n\n").filter(|message| message.contains("\ndata: "));
    let events = messages.map(|message| {
        let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        (number(field("id: ")), serde_json::from_str(field("data: ")).unwrap())
    });
    events.collect()
}

#[test]
fn a_stream_ends_with_its_server_and_continues_with_the_next() {
    let directory = TempDir::new().unwrap();
    // If a stream were drained like a request, the server would run for longer than this test waits.
    let mut server = server_in(directory.path()).set("gateway.drain_timeout=1h").start();
    restock(&server, 1);
    restock(&server, 2);
    let (mut log, mut stock) =
        (follow(&server, "/v1/events", None), follow(&server, "/v1/inventory/SKU-1/events", None));
    for stream in [&mut log, &mut stock] {
        let heard = stream.heard_until("\nid: 2-", SOON);
        assert!(heard.starts_with("HTTP/1.1 200 ") && heard.contains("content-type: text/event-stream"), "{heard}");
    }
    server.terminate();
    for stream in [log, stock] {
        let last = stream.heard(SOON);
        assert!(last.closed_after.is_some() && last.text.ends_with("0\r\n\r\n"), "it was cut off: {last:?}");
    }
    assert_eq!(server.wait(SOON).code(), Some(0), "{}", server.logs());

    server.restart();
    let mut again = follow(&server, "/v1/events?type=inventory", Some(2));
    again.heard_until("id: 2\n\n", SOON);
    restock(&server, 3);
    let events = shown(&again.heard_until("\n\n", SOON));
    assert_eq!(events[0].0, 3);
    assert_eq!((&events[0].1["aggregate"], &events[0].1["version"]), (&json!("inventory"), &json!(3)));
}

#[test]
fn a_type_that_was_not_requested_is_not_shown() {
    let server = Server::builder().program(PROGRAM).journal("memory:").set("gateway.stream_heartbeat=100ms").start();
    let (mut orders, mut stocks) =
        (follow(&server, "/v1/events?type=order", None), follow(&server, "/v1/events?type=order,inventory", None));
    restock(&server, 1);
    stocks.heard_until("\ndata: ", SOON);
    assert!(!orders.heard_until("\nid: 1-", SOON).contains("data:"));
}

#[test]
fn a_client_that_reconnects_misses_nothing_even_if_the_server_is_killed() {
    const EVENTS: u64 = 300;

    let directory = TempDir::new().unwrap();
    let mut server = server_in(directory.path()).start();
    restock(&server, 1);
    let (mut seen, mut interruptions, mut kills) = (Vec::<(u64, Value)>::new(), 0, 0);
    while seen.len() < EVENTS as usize {
        thread::scope(|scope| {
            let (client, known) = (server.client(), seen.len());
            scope.spawn(move || {
                for number in 0..EVENTS {
                    let body = json!({"change": 1, "reason": format!("{known}-{number}")});
                    // The server may be killed meanwhile, and then sends no response.
                    if client.post("/v1/inventory/SKU-1/update-inventory", &body).is_err() {
                        break;
                    }
                }
            });
            let until = (seen.len() + 100).min(EVENTS as usize);
            while seen.len() < until {
                let last = seen.last().map(|(id, _)| *id);
                let wanted = last.unwrap_or(0) + 1 + interruptions % 5;
                let mut stream = follow(&server, "/v1/events", last);
                let heard = stream.heard_until(&format!("\nid: {wanted}-"), SOON);
                // The text after the last blank line may be only a part of a message. A fast server may have sent more
                // than was waited for: without the rest, the number of interruptions does not depend on its speed.
                let shown = shown(heard.rsplit_once("\n\n").map_or("", |(whole, _)| whole));
                seen.extend(shown.into_iter().take_while(|(id, _)| *id <= wanted));
                interruptions += 1;
            }
            server.kill();
        });
        kills += 1;
        server.restart();
    }
    assert!(interruptions > 20 && kills > 1, "{interruptions} interruptions, {kills} kills");

    let ids: Vec<u64> = seen.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    let mut stored = Vec::new();
    let mut next = json!("/v1/events?limit=1000");
    while let Some(path) = next.as_str() {
        let page = server.client().get(path).unwrap().json();
        stored.extend(page["events"].as_array().unwrap().clone());
        next = page["next"].clone();
    }
    for ((id, shown), stored) in seen.iter().zip(&stored) {
        assert_eq!(shown, stored, "{id}");
    }
    assert!(stored.len() >= seen.len(), "an event that was shown is lost");
}

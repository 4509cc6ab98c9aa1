//! Clients that are slow, hang up, or send nonsense. Each reaches a limit and is closed, and other clients hardly
//! notice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

#[path = "hostile_clients/crowd.rs"]
mod crowd;
#[path = "hostile_clients/nonsense.rs"]
mod nonsense;
#[path = "hostile_clients/regulars.rs"]
mod regulars;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use dormouse_harness::{
    Client, Heard, Server, ServerBuilder, Wire, alone, chaos_binary, eventually, forget_peak_resident_bytes,
    peak_resident_bytes, post_bytes, raise_file_limit, resident_bytes,
};
use serde_json::{Value, json};

use crowd::{Crowd, IDLE};
use nonsense::{deep_json, head_of, large_body, many_headers};
use regulars::Regulars;

/// `gateway.header_timeout` here; the default works too, but takes longer.
const HEADER_TIMEOUT: Duration = Duration::from_secs(2);

/// `gateway.header_timeout` where thousands of connections are opened before the first of them may be closed.
const HEADER_TIMEOUT_OF_MANY: Duration = Duration::from_secs(10);

/// `commands.timeout` here, which bounds the time for a body.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);

/// `gateway.request_timeout` here.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// The most time by which a limit may be late on a busy machine.
const LATE: Duration = Duration::from_secs(4);

/// The pace of slow clients.
const ONE_BYTE_EVERY: Duration = Duration::from_secs(1);

const SOON: Duration = Duration::from_secs(30);

/// The memory for a connection that never sent a whole request.
const IDLE_BYTES: u64 = 32 << 10;

/// The default of `gateway.max_body`.
const MAX_BODY: u64 = 1 << 20;

/// The memory of the server beside what the test accounts for: threads, caches, the allocator's reserves.
const SLACK_BYTES: u64 = 32 << 20;

/// The number of large requests at once.
const A_FEW: usize = 32;

fn server() -> ServerBuilder {
    server_with(HEADER_TIMEOUT, REQUEST_TIMEOUT)
}

fn server_with(header_timeout: Duration, request_timeout: Duration) -> ServerBuilder {
    raise_file_limit();
    Server::builder()
        .set(format!("gateway.header_timeout=\"{}s\"", header_timeout.as_secs()))
        .set(format!("commands.timeout=\"{}s\"", COMMAND_TIMEOUT.as_secs()))
        .set(format!("gateway.request_timeout=\"{}s\"", request_timeout.as_secs()))
}

#[track_caller]
fn was_closed_after(heard: &Heard, limit: Duration) {
    let Some(after) = heard.closed_after else { panic!("it was not closed, but told {:?}", heard.text) };
    assert!(after + Duration::from_millis(100) >= limit, "closed after {after:?} already: {:?}", heard.text);
    assert!(after < limit + LATE, "closed after {after:?} only: {:?}", heard.text);
}

#[track_caller]
fn was_refused(heard: &Heard, status: u16, slug: &str) {
    assert_eq!(heard.status(), Some(status), "{}", heard.text);
    let (head, body) = heard.text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body:?}"));
    assert_eq!(body["type"], format!("urn:dormouse:problem:{slug}"), "{body}");
    assert!(head.contains(&format!("x-request-id: {}", body["request_id"].as_str().unwrap())), "{head}");
}

fn restock(client: &Client, sku: &str) -> u64 {
    let answer = client.post(&format!("/v1/inventory/{sku}/update-inventory"), &json!({"change": 1, "reason": "test"}));
    answer.unwrap().json()["version"].as_u64().unwrap()
}

/// Counts only sockets, because database files are opened when they are needed.
fn open_sockets(server: &Server) -> usize {
    let files = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let is_socket =
        |path: std::path::PathBuf| fs::read_link(path).is_ok_and(|link| link.to_string_lossy().starts_with("socket:"));
    files.filter(|file| file.as_ref().is_ok_and(|file| is_socket(file.path()))).count()
}

/// Every connection that was opened since is closed on the server's side too.
#[track_caller]
fn lets_go(server: &Server, sockets_before: usize) {
    // The server opens and closes some connections of its own.
    eventually("the server closes its side", SOON, || open_sockets(server) <= sockets_before + 4);
}

#[test]
fn a_head_that_comes_byte_by_byte_is_cut_off() {
    let _alone = alone();
    let server = server().start();
    let heard = Wire::connect(server.address()).trickle(head_of("/health"), ONE_BYTE_EVERY, SOON);
    was_closed_after(&heard, HEADER_TIMEOUT);
    assert_eq!(heard.text, "");
}

#[test]
fn a_body_that_comes_byte_by_byte_is_refused_at_the_commands_deadline() {
    let _alone = alone();
    let server = server().start();
    let body = r#"{"change":1,"reason":"slowly"}"#;
    let request = post_bytes("/v1/inventory/slow/update-inventory", body);
    let (head, body) = request.split_at(request.len() - body.len());
    let mut wire = Wire::connect(server.address());
    assert!(wire.send(head));
    let heard = wire.trickle(body, ONE_BYTE_EVERY, SOON);
    was_closed_after(&heard, COMMAND_TIMEOUT);
    was_refused(&heard, 408, "request-timeout");
    assert_eq!(server.client().get("/v1/inventory/slow").unwrap().status, 404, "nothing happened");
}

#[test]
fn two_thousand_idle_connections_are_held_cheaply_and_closed_in_time() {
    let _alone = alone();
    let server = server_with(HEADER_TIMEOUT_OF_MANY, HEADER_TIMEOUT_OF_MANY).start();
    let client = server.client();
    restock(&client, "tea");
    let (sockets, memory) = (open_sockets(&server), resident_bytes(server.pid()));
    let idle: Vec<Wire> = (0..IDLE).map(|_| Wire::connect(server.address())).collect();
    let opened = Instant::now();
    eventually("all of them are accepted", SOON, || open_sockets(&server) >= sockets + IDLE * 9 / 10);
    assert_eq!(restock(&client, "tea"), 2, "others are served meanwhile");
    let taken = resident_bytes(server.pid()).saturating_sub(memory);
    assert!(taken < IDLE as u64 * IDLE_BYTES, "{} KiB each", taken / IDLE as u64 / 1024);
    for wire in idle {
        let rest = (HEADER_TIMEOUT_OF_MANY + LATE).saturating_sub(opened.elapsed());
        // What has happened in time is heard later, too.
        let heard = wire.heard(rest.max(Duration::from_millis(1)));
        assert!(heard.closed_after.is_some() && heard.text.is_empty(), "{heard:?}");
    }
    lets_go(&server, sockets);
}

#[test]
fn a_client_that_hangs_up_at_any_stage_leaves_nothing_behind() {
    let _alone = alone();
    const TIMES: u64 = 50;
    let server = server().start();
    let client = server.client();
    restock(&client, "tea");
    let (sockets, memory) = (open_sockets(&server), resident_bytes(server.pid()));
    let stages: [fn(&mut Wire); 5] = [
        crowd::hang_up_before_the_request,
        crowd::hang_up_in_the_head,
        crowd::hang_up_in_the_body,
        crowd::hang_up_before_the_answer,
        crowd::hang_up_during_the_answer,
    ];
    for _ in 0..TIMES {
        for stage in stages {
            stage(&mut Wire::connect(server.address()));
        }
    }
    lets_go(&server, sockets);
    assert!(resident_bytes(server.pid()) < memory + SLACK_BYTES);
    // Only requests with a complete body whose client hung up may have been executed.
    let version = client.get("/v1/inventory/hung-up").unwrap().json()["version"].as_u64();
    assert!(version.unwrap_or(0) <= TIMES, "{version:?}");
    assert_eq!(restock(&client, "tea"), 2);
}

#[test]
fn json_nested_a_hundred_thousand_deep_is_refused() {
    let _alone = alone();
    // The shipped commands refuse an unknown field at once. This command skips it, and must read it for that.
    let server = server().program(chaos_binary()).start();
    for _ in 0..A_FEW {
        let mut wire = Wire::connect(server.address());
        assert!(wire.send(deep_json("/v1/chaos/a/spin")));
        let heard = wire.heard_until("}", SOON);
        was_refused(&Heard { text: heard, closed_after: None }, 400, "unknown-field");
    }
    assert_eq!(restock(&server.client(), "tea"), 1);
}

#[test]
fn a_request_with_ten_thousand_headers_is_refused_and_closed() {
    let _alone = alone();
    let server = server().start();
    let memory = resident_bytes(server.pid());
    forget_peak_resident_bytes(server.pid());
    for _ in 0..A_FEW {
        let mut wire = Wire::connect(server.address());
        assert!(wire.send(many_headers()), "the server takes what is sent");
        let heard = wire.heard(SOON);
        assert!(heard.closed_after.is_some(), "{heard:?}");
        was_refused(&heard, 431, "head-too-large");
    }
    assert!(peak_resident_bytes(server.pid()) < memory + SLACK_BYTES);
}

#[test]
fn an_invalid_request_gets_a_problem_document() {
    let _alone = alone();
    let server = server().start();
    let long = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(40 << 10));
    let too_many: String = (0..101).map(|number| format!("x-{number}: 1\r\n")).collect();
    for (bytes, status, slug) in [
        ("nonsense\r\n\r\n".to_owned(), 400, "malformed-request"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400, "malformed-request"),
        ("GET / HTTP/7.0\r\n\r\n".to_owned(), 400, "malformed-request"),
        (format!("GET / HTTP/1.1\r\n{too_many}\r\n"), 431, "head-too-large"),
        (long.replace('x', "yy"), 414, "target-too-long"),
        (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1 << 20)), 431, "head-too-large"),
    ] {
        let mut wire = Wire::connect(server.address());
        wire.send(&bytes);
        let heard = wire.heard(SOON);
        assert!(heard.closed_after.is_some(), "{heard:?}");
        was_refused(&heard, status, slug);
    }
    let mut wire = Wire::connect(server.address());
    wire.send(long);
    was_refused(&Heard { text: wire.heard_until("\"}", SOON), closed_after: None }, 404, "unknown-route");
}

#[test]
fn a_body_of_ten_megabytes_is_refused_whether_it_is_announced_or_not() {
    let _alone = alone();
    let server = server().start();
    let memory = resident_bytes(server.pid());
    forget_peak_resident_bytes(server.pid());
    for announced in [true, false] {
        let wires = (0..A_FEW).map(|_| {
            let address = server.address();
            thread::spawn(move || {
                let mut wire = Wire::connect(address);
                // Ordinary clients send everything before they read, so the server must accept it.
                assert!(wire.send(large_body(announced)), "the server takes what is sent");
                wire.heard(SOON)
            })
        });
        let wires: Vec<_> = wires.collect();
        for heard in wires.into_iter().map(|wire| wire.join().unwrap()) {
            assert!(heard.closed_after.is_some(), "{heard:?}");
            was_refused(&heard, 413, "body-too-large");
            assert!(heard.text.contains("connection: close"), "{heard:?}");
        }
    }
    let peak = peak_resident_bytes(server.pid());
    let bound = memory + A_FEW as u64 * 2 * MAX_BODY + SLACK_BYTES;
    assert!(peak < bound, "{} MiB at the peak, {} before", peak >> 20, memory >> 20);
}

#[test]
fn a_client_that_reads_none_of_its_answers_is_closed() {
    let _alone = alone();
    let server = server().start();
    let sockets = open_sockets(&server);
    let mut wire = Wire::connect(server.address());
    // More than fits into the buffers between them. The server stops reading requests when it cannot write answers.
    for _ in 0..2_000 {
        if !wire.send(head_of("/openapi.json")) {
            break;
        }
    }
    lets_go(&server, sockets);
    drop(wire);
}

#[test]
fn regular_clients_are_served_beside_hostile_ones() {
    let _alone = alone();
    let server = server().start();
    let mut regulars = Regulars::of(&server);
    let sockets = open_sockets(&server);
    regulars.work();
    let memory = resident_bytes(server.pid());
    forget_peak_resident_bytes(server.pid());
    let crowd = Crowd::gather(server.address());
    regulars.work();
    drop(crowd);
    let peak = peak_resident_bytes(server.pid());
    let bound = memory + IDLE as u64 * IDLE_BYTES + A_FEW as u64 * 2 * MAX_BODY + SLACK_BYTES;
    assert!(peak < bound, "{} MiB at the peak, {} before", peak >> 20, memory >> 20);
    regulars.were_all_served();
    lets_go(&server, sockets);
}

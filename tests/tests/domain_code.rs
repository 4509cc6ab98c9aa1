//! Domain code that panics, loops, or makes too many or too large events. Only its own aggregate suffers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

#[path = "domain_code/bystanders.rs"]
mod bystanders;

use std::fs;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dormouse_harness::{
    Answer, Client, Load, Server, ServerBuilder, alone, chaos_binary, eventually, forget_peak_resident_bytes,
    peak_resident_bytes, post_bytes, resident_bytes,
};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempPath};

use bystanders::Bystanders;

/// One event of this size is fifty times the allowed size.
const FAR_TOO_LARGE: usize = 50 << 20;

/// The most memory that refusing it may take, and that may stay allocated: the event, its encoding (which doubles as it
/// grows), and some more.
const REFUSAL_PEAK: u64 = 6 * FAR_TOO_LARGE as u64;
const REFUSAL_LEFTOVER: u64 = FAR_TOO_LARGE as u64;

/// The number of clients of an aggregate that will loop: enough that one of them always sends right before the loop.
const NOTES_PER_SECOND: f64 = 400.0;

/// Longer than anything here takes, and short enough to notice a hang.
const SOON: Duration = Duration::from_secs(30);

/// `commands.timeout` and `gateway.request_timeout` here: longer than any loop lasts, and shorter than a client waits.
const TIMEOUTS: [&str; 2] = ["commands.timeout=\"50s\"", "gateway.request_timeout=\"55s\""];

/// In memory a commit takes no time. So the writer often waits for work, and is woken by the next submission.
fn chaos() -> ServerBuilder {
    let server = Server::builder().program(chaos_binary()).journal("memory:");
    TIMEOUTS.into_iter().fold(server, ServerBuilder::set)
}

fn command(client: &Client, id: &str, name: &str, body: &Value) -> Answer {
    client.post(&format!("/v1/chaos/{id}/{name}"), body).unwrap()
}

fn problem(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer}");
    (answer.status, answer.json()["type"].as_str().unwrap().trim_start_matches("urn:dormouse:problem:").to_owned())
}

fn is(status: u16, slug: &str) -> (u16, String) {
    (status, slug.to_owned())
}

#[test]
fn aggregates_that_loop_do_not_hold_up_others_however_many() {
    let _alone = alone();
    let server = chaos().start();
    let bystanders = Bystanders::of(&server);
    let loops = ["a", "b", "c", "d", "e", "f"].map(|id| Looping::start(&server.client(), id));
    bystanders.are_served();
    is_alive(&server);
    loops.into_iter().for_each(Looping::ends_and_is_answered);
    bystanders.were_all_served();
}

#[test]
fn a_loop_on_an_idle_server_does_not_make_it_deaf() {
    let _alone = alone();
    let server = chaos().start();
    let client = server.client();
    assert_eq!(command(&client, "quick", "note", &json!({})).status, 200);
    // The aggregate is loaded, so it decides as soon as the request arrives.
    for _ in 0..2 {
        let looping = Looping::start(&client, "quick");
        is_alive(&server);
        looping.ends_and_is_answered();
    }
}

#[test]
fn a_loop_right_behind_a_commit_does_not_hold_up_the_next_commit() {
    let _alone = alone();
    let server = chaos().start();
    let bystanders = Bystanders::of(&server);
    let notes = Load::new(server.address(), 4, |_, _| post_bytes("/v1/chaos/a/note", "{}"));
    let notes = notes.per_second(NOTES_PER_SECOND).start();
    for _ in 0..3 {
        let looping = Looping::start(&server.client(), "a");
        bystanders.are_served();
        looping.ends_and_is_answered();
    }
    let notes = notes.stop();
    assert_eq!(notes.count(200), notes.requests.len(), "{}", notes.statuses());
    bystanders.were_all_served();
}

/// A new client, because a new connection must be accepted too.
fn is_alive(server: &Server) {
    assert_eq!(server.client().get("/health/live").unwrap().status, 200);
}

/// An aggregate that loops in a decision until it is told to end, with another command waiting.
struct Looping {
    /// The aggregate loops as long as this file exists.
    file: TempPath,
    spin: JoinHandle<Answer>,
    behind: JoinHandle<Answer>,
}

impl Looping {
    fn start(client: &Client, id: &str) -> Self {
        let send = |name: &'static str, body: Value| {
            let (client, id) = (client.clone(), id.to_owned());
            thread::spawn(move || command(&client, &id, name, &body))
        };
        let file = NamedTempFile::new().unwrap().into_temp_path();
        let spin = send("spin", json!({"file": &*file}));
        eventually("the aggregate loops", SOON, || fs::read_to_string(&file).unwrap() == "looping");
        Self { file, spin, behind: send("note", json!({})) }
    }

    fn ends_and_is_answered(self) {
        assert!(!self.spin.is_finished(), "the loop ended by itself");
        self.file.close().unwrap();
        let (spin, behind) = (self.spin.join().unwrap(), self.behind.join().unwrap());
        assert_eq!((spin.status, behind.status), (200, 200), "{spin} {behind}");
    }
}

#[test]
fn an_aggregate_that_panics_is_restarted_and_no_other_notices() {
    let _alone = alone();
    let server = chaos().start();
    let client = server.client();
    assert_eq!(command(&client, "a", "note", &json!({})).status, 200);
    let bystanders = Bystanders::of(&server);
    for panicking in ["panic", "panic-later"] {
        assert_eq!(problem(&command(&client, "a", panicking, &json!({}))), is(500, "aggregate-failed"));
        let state = eventually("it is back", SOON, || {
            let answer = client.get("/v1/chaos/a").unwrap();
            assert!(answer.status == 200 || answer.status == 503, "{answer}");
            (answer.status == 200).then_some(answer)
        });
        assert_eq!(state.json()["version"], 1, "a command that panicked changed nothing");
    }
    bystanders.were_all_served();
}

#[test]
fn an_aggregate_that_keeps_panicking_is_quarantined_until_it_is_released() {
    let _alone = alone();
    let server = chaos().set("supervision.restarts=2").set("supervision.backoff_min=\"1ms\"").start();
    let client = server.client();
    assert_eq!(command(&client, "a", "note", &json!({})).status, 200);
    let bystanders = Bystanders::of(&server);
    let quarantined = eventually("it is quarantined", SOON, || {
        let answer = command(&client, "a", "panic", &json!({}));
        let (_, slug) = problem(&answer);
        assert!(["aggregate-failed", "restarting", "quarantined"].contains(&slug.as_str()), "{answer}");
        (slug == "quarantined").then_some(answer)
    });
    assert_eq!(quarantined.status, 503);
    assert_eq!(problem(&command(&client, "a", "note", &json!({}))), is(503, "quarantined"));
    assert_eq!(command(&client, "b", "note", &json!({})).status, 200, "another of its type");
    assert_eq!(client.get("/health/ready").unwrap().status, 200, "the node goes on");
    bystanders.were_all_served();

    assert_eq!(client.post("/admin/aggregates/chaos/a/release", &json!({})).unwrap().status / 100, 2);
    assert_eq!(command(&client, "a", "note", &json!({})).json()["version"], 2, "nothing was lost with it");
}

#[test]
fn an_event_of_fifty_megabytes_is_refused_and_its_memory_given_back() {
    let _alone = alone();
    let server = chaos().start();
    let client = server.client();
    assert_eq!(command(&client, "a", "note", &json!({})).status, 200);
    let bystanders = Bystanders::of(&server);
    let before = resident_bytes(server.pid());
    forget_peak_resident_bytes(server.pid());
    for _ in 0..4 {
        let refused = command(&client, "a", "bloat", &json!({"bytes": FAR_TOO_LARGE}));
        assert_eq!(problem(&refused), is(500, "unstorable-events"));
    }
    let peak = peak_resident_bytes(server.pid());
    assert!(peak < before + REFUSAL_PEAK, "{} MiB at the peak, {} before", peak >> 20, before >> 20);
    eventually("its memory is given back", SOON, || resident_bytes(server.pid()) < before + REFUSAL_LEFTOVER);
    let state = client.get("/v1/chaos/a").unwrap();
    assert_eq!(state.json()["version"], 1, "nothing of it was written");
    assert_eq!(command(&client, "a", "note", &json!({})).json()["version"], 2, "and the aggregate goes on");
    bystanders.were_all_served();
}

#[test]
fn a_million_events_from_one_command_are_refused() {
    let _alone = alone();
    let server = chaos().start();
    let client = server.client();
    let bystanders = Bystanders::of(&server);
    let refused = command(&client, "a", "multiply", &json!({"events": 1_000_000}));
    assert_eq!(problem(&refused), is(500, "unstorable-events"));
    assert_eq!(command(&client, "a", "note", &json!({})).json()["version"], 1, "nothing of it was written");
    bystanders.were_all_served();
}

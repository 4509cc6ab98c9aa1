//! An event that cannot be projected stops only its own aggregate, until a new binary can project it.

use std::time::Duration;

use dormouse_harness::{Client, Server, chaos_binary, eventually};
use serde_json::{Value, json};

use crate::operator::{projection, retry};

/// With this variable in the environment, the code can project a curse.
const FIXED: &str = "CHAOS_FIXED";

/// The bound for a view, which includes the time for retries of failing events.
const VIEW_BOUND: Duration = Duration::from_secs(30);

#[test]
fn a_poisonous_event_stops_its_aggregate_alone_and_is_projected_in_order_by_mended_code() {
    let mut server = Server::builder().program(chaos_binary()).start();
    let client = server.client();
    for id in ["cursed", "blessed"] {
        run(&client, id, "note");
        run(&client, id, "note");
    }
    run(&client, "cursed", "curse");
    run(&client, "cursed", "note");
    run(&client, "blessed", "note");
    let last = run(&client, "cursed", "note");

    // The story of the aggregate ends before the curse. The story of the other aggregate and the view go on.
    wait_for_stories(&client, last);
    assert_eq!(story(&client, "cursed"), json!([1, 2]));
    assert_eq!(story(&client, "blessed"), json!([1, 2, 3]));
    wait_for_parked(&client, 1);
    assert_eq!(parked(&client), [(3, true), (4, false), (5, false)], "the curse, and what waits behind it");

    // As long as the code is the same, a retry changes nothing.
    assert_eq!(retry(&client, "stories", "chaos", "cursed").status / 100, 2);
    assert_eq!(parked(&client).len(), 3);
    assert_eq!(story(&client, "cursed"), json!([1, 2]));

    // The mended code parks new events as long as earlier ones wait, and then projects all of them in order.
    server.terminate();
    assert!(server.wait(VIEW_BOUND).success());
    server.set_environment(FIXED, "yes");
    server.restart();
    let client = server.client();
    let last = run(&client, "cursed", "note");
    wait_for_stories(&client, last);
    assert_eq!(story(&client, "cursed"), json!([1, 2]));
    assert_eq!(parked(&client).len(), 4);
    assert_eq!(retry(&client, "stories", "chaos", "cursed").status / 100, 2);
    eventually("the whole story", VIEW_BOUND, || story(&client, "cursed") == json!([1, 2, 3, 4, 5, 6]));
    assert_eq!(parked(&client), []);
    wait_for_parked(&client, 0);

    let last = run(&client, "cursed", "curse");
    wait_for_stories(&client, last);
    assert_eq!(story(&client, "cursed"), json!([1, 2, 3, 4, 5, 6, 7]));
    assert_eq!(story(&client, "blessed"), json!([1, 2, 3]));
}

/// Returns the position of its event.
fn run(client: &Client, id: &str, command: &str) -> u64 {
    let answer = client.post(&format!("/v1/chaos/{id}/{command}"), &json!({})).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["position"].as_u64().expect("a command has a position")
}

fn wait_for_stories(client: &Client, position: u64) {
    eventually(&format!("a story of position {position}"), VIEW_BOUND, || {
        let answer = client.get("/v1/views/stories?limit=1").unwrap();
        answer.status == 200 && answer.json()["position"].as_u64() >= Some(position)
    });
}

/// Waits until the status shows this many aggregates with parked events: it may be older than the view.
fn wait_for_parked(client: &Client, aggregates: u64) {
    eventually(&format!("{aggregates} parked aggregates"), VIEW_BOUND, || {
        projection(client, "stories")["parked"] == aggregates
    });
}

/// The versions of the events in the story, in their order.
fn story(client: &Client, id: &str) -> Value {
    let answer = client.get(&format!("/v1/views/stories/{id}")).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["document"]["versions"].take()
}

/// The versions of the parked events in order, and whether each has failed itself.
fn parked(client: &Client) -> Vec<(u64, bool)> {
    let answer = client.get("/admin/projections/stories/parked/chaos/cursed").unwrap();
    if answer.status == 404 {
        return Vec::new();
    }
    assert_eq!(answer.status, 200, "{answer}");
    let page = answer.json();
    let events = page["parked"].as_array().expect("parked events").iter();
    events.map(|event| (event["version"].as_u64().unwrap(), !event["reason"].is_null())).collect()
}

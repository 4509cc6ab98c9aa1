//! An event that cannot be projected holds up its aggregate and nobody else, until there is code that can project it.

use std::time::Duration;

use dormouse_harness::{Client, Server, chaos_binary, eventually};
use serde_json::{Value, json};

use crate::operator::{projection, retry};

/// The code that cannot project a curse is replaced by code that can when this is in its environment.
const FIXED: &str = "CHAOS_FIXED";

/// How long a view may take to come to something: events that fail are tried again for a while first.
const VIEW_BOUND: Duration = Duration::from_secs(30);

#[test]
fn a_poisonous_event_holds_up_its_aggregate_alone_and_goes_in_order_once_the_code_is_mended() {
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

    // Its own story ends before the curse; the other's goes on, and so does the view.
    wait_for_stories(&client, last);
    assert_eq!(story(&client, "cursed"), json!([1, 2]));
    assert_eq!(story(&client, "blessed"), json!([1, 2, 3]));
    assert_eq!(projection(&client, "stories")["parked"], 1);
    assert_eq!(parked(&client), [(3, true), (4, false), (5, false)], "the curse, and what waits behind it");

    // As long as the code is what it is, trying again changes nothing.
    assert_eq!(retry(&client, "stories", "chaos", "cursed").status / 100, 2);
    assert_eq!(parked(&client).len(), 3);
    assert_eq!(story(&client, "cursed"), json!([1, 2]));

    // The mended code parks what comes as long as something waits before it, and then takes all of it in, in order.
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
    assert_eq!(projection(&client, "stories")["parked"], 0);

    let last = run(&client, "cursed", "curse");
    wait_for_stories(&client, last);
    assert_eq!(story(&client, "cursed"), json!([1, 2, 3, 4, 5, 6, 7]));
    assert_eq!(story(&client, "blessed"), json!([1, 2, 3]));
}

/// Says where in the log its event is.
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

/// The versions of the events that are in it, in the order in which they came.
fn story(client: &Client, id: &str) -> Value {
    let answer = client.get(&format!("/v1/views/stories/{id}")).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["document"]["versions"].take()
}

/// The versions of the events that wait, in order, and whether each failed itself.
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

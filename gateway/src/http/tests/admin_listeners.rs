//! Operations on listeners, queues and timers.

use axum::body::Body;
use axum::http::Method;
use dormouse_messaging::QueueStore;
use serde_json::{Value, json};

use super::letters::{Office, eventually};
use super::support::{Answer, request};

const POST: &str = "/admin/listeners/handler%2Fpost";

async fn switch(office: &Office, action: &str) -> Answer {
    office.send(request(Method::POST, &format!("{POST}/{action}"), &[], Body::empty())).await
}

async fn patch(office: &Office, changes: Value) -> Answer {
    let headers = [("content-type", "application/json")];
    office.send(request(Method::PATCH, "/admin/config", &headers, Body::from(changes.to_string()))).await
}

#[tokio::test]
async fn all_listeners_are_listed_with_what_they_do() {
    let office = Office::open().await;
    office.write("l-1", "hello").await;
    // The letter and its copy.
    eventually(async || office.head() == 2).await;
    office.has_dead(0).await;
    let listed = office.get("/admin/listeners").await.json();
    let names: Vec<&Value> = listed["listeners"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["messages", "operations", "reactor/copies", "handler/post", "timers"]);
    let post = office.listener("handler/post").await;
    for (member, expected) in [
        ("kind", json!("handler")),
        ("queue", json!("default")),
        ("sources", json!(["letter"])),
        ("state", json!("running")),
        ("reason", Value::Null),
        ("lag", json!(0)),
        ("ready", json!(0)),
        ("running", json!(0)),
        ("breaker", json!({"state": "closed", "open_seconds": null})),
        ("jobs", json!({"waiting": 0, "blocked": 0, "dead": 0})),
    ] {
        assert_eq!(post[member], expected, "{member}");
    }
    assert!(post["position"].as_u64() > Some(0), "{post}");
    let messages = office.listener("messages").await;
    assert_eq!((&messages["sources"], &messages["breaker"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_paused_listener_keeps_its_place_until_it_is_resumed() {
    let office = Office::open().await;
    office.write("l-1", "first").await;
    office.has_dead(0).await;
    let paused = switch(&office, "pause").await.json();
    assert_eq!((&paused["name"], &paused["state"]), (&json!("handler/post"), &json!("paused")));
    office.write("l-1", "second").await;
    eventually(async || office.listener("reactor/copies").await["lag"] == 0).await;
    // It may have read the letter before it was paused, and then does not begin with it.
    let post = office.listener("handler/post").await;
    assert!(post["lag"].as_u64().unwrap() + post["ready"].as_u64().unwrap() > 0, "{post}");
    assert_eq!(office.delivered(), ["first"]);
    // To pause it twice is no error.
    assert_eq!(switch(&office, "pause").await.json()["state"], "paused");

    assert_eq!(switch(&office, "resume").await.json()["state"], "running");
    office.has_dead(0).await;
    assert_eq!(office.delivered(), ["first", "second"]);
}

#[tokio::test]
async fn a_disabled_listener_passes_over_all_events_until_it_is_enabled() {
    let office = Office::open().await;
    assert_eq!(switch(&office, "disable").await.json()["state"], "disabled");
    office.write("l-1", "unseen").await;
    office.has_dead(0).await;
    assert_eq!(switch(&office, "enable").await.json()["state"], "running");
    office.write("l-1", "seen").await;
    office.has_dead(0).await;
    assert_eq!(office.delivered(), ["seen"]);
}

#[tokio::test]
async fn an_unknown_listener_is_refused_with_the_nearest_name() {
    let office = Office::open().await;
    for action in ["pause", "resume", "enable", "disable"] {
        let path = format!("/admin/listeners/handler%2Fpots/{action}");
        let unknown = office.send(request(Method::POST, &path, &[], Body::empty())).await;
        assert_eq!(unknown.is_problem(404, "unknown-listener")["nearest"], "handler/post", "{action}");
    }
    let unknown = office.get("/admin/failed?listener=handler/pots").await.is_problem(404, "unknown-listener");
    assert_eq!(unknown["nearest"], "handler/post");
}

#[tokio::test]
async fn listeners_are_switched_off_by_the_configuration_while_the_server_runs() {
    let office = Office::open().await;
    let changed = patch(&office, json!({"listeners": {"paused": ["handler/post"]}})).await.json();
    assert_eq!(changed["config"]["listeners"]["paused"], json!(["handler/post"]));
    eventually(async || office.listener("handler/post").await["state"] == "paused").await;
    // An operator cannot switch it on. What the operator had switched off before, is not any more.
    let refused = switch(&office, "resume").await.is_problem(409, "switched-by-config");
    assert!(refused["detail"].as_str().unwrap().contains("listeners.paused"), "{refused}");
    assert_eq!(switch(&office, "enable").await.json()["state"], "paused");

    patch(&office, json!({"listeners": {"paused": [], "disabled": ["handler/post"]}})).await.json();
    eventually(async || office.listener("handler/post").await["state"] == "disabled").await;
    switch(&office, "enable").await.is_problem(409, "switched-by-config");
    patch(&office, json!({"listeners": {"disabled": []}})).await.json();
    eventually(async || office.listener("handler/post").await["state"] == "running").await;
}

#[tokio::test]
async fn a_configuration_that_names_an_unknown_listener_changes_nothing() {
    let office = Office::open().await;
    let before = office.get("/admin/config").await.json();
    for (key, changes) in [
        (
            "listeners.paused",
            json!({"listeners": {"paused": ["handler/post", "handler/pots"]}, "cache": {"entries": 7}}),
        ),
        ("listeners.disabled", json!({"listeners": {"disabled": ["handler/pots"]}})),
    ] {
        let refused = patch(&office, changes).await.is_problem(400, "invalid-config");
        assert!(refused["detail"].as_str().unwrap().contains(key), "{refused}");
        assert_eq!(refused["nearest"], "handler/post");
    }
    assert_eq!(office.get("/admin/config").await.json(), before);
    eventually(async || office.listener("handler/post").await["state"] == "running").await;
}

#[tokio::test]
async fn the_queues_are_listed_with_the_listeners_that_use_them() {
    let office = Office::open().await;
    let listed = office.get("/admin/queues").await.json();
    let queues = listed["queues"].as_array().unwrap();
    let queue = |name: &str| queues.iter().find(|queue| queue["name"] == name).unwrap();
    assert_eq!(queues.len(), 5, "{listed}");
    assert_eq!(queue("default")["listeners"], json!(["handler/post"]));
    assert_eq!(queue("messages")["listeners"], json!(["messages", "reactor/copies", "timers"]));
    assert_eq!(queue("commands")["listeners"], json!(["operations"]));
    assert_eq!((&queue("default")["depth"], &queue("default")["running"]), (&json!(0), &json!(0)));
    assert!(queue("default")["workers"].as_u64() > Some(0), "{listed}");
}

#[tokio::test]
async fn timers_are_listed_in_pages_by_the_time_at_which_they_are_due() {
    let office = Office::open().await;
    for (id, seconds, again) in [("l%202", 7200, true), ("l-1", 3600, false), ("l-3", 10800, false)] {
        let set = office.post(&format!("/v1/letter/{id}/remind"), &json!({"seconds": seconds, "again": again})).await;
        assert_eq!(set.status, 200, "{set:?}");
    }
    eventually(async || office.get("/admin/timers").await.json()["set"] == 3).await;
    let first = office.get("/admin/timers?limit=2").await.json();
    let shown = |page: &Value| {
        let timers = page["timers"].as_array().unwrap().iter();
        timers.map(|one| (one["aggregate"].clone(), one["name"].clone(), one["repeats"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(
        shown(&first),
        [
            (json!("letter/l-1"), json!("once"), Value::Null),
            (json!("letter/l 2"), json!("again"), json!("every 7200s")),
        ]
    );
    assert_eq!((&first["timers"][0]["set_at"], &first["set"]), (&json!(1), &json!(3)));
    assert!(first["timers"][0]["due"].as_str() < first["timers"][1]["due"].as_str(), "{first}");
    let second = office.get(first["next"].as_str().unwrap()).await.json();
    assert_eq!(shown(&second), [(json!("letter/l-3"), json!("once"), Value::Null)]);
    assert_eq!(second["next"], Value::Null);
    office.get("/admin/timers?after=tomorrow").await.is_problem(400, "invalid-parameter");
}

#[tokio::test]
async fn the_list_is_shown_although_the_queues_do_not_answer() {
    let office = Office::open().await;
    office.queues.close().await;
    let post = office.listener("handler/post").await;
    assert_eq!(post["jobs"], Value::Null);
    for path in ["/admin/failed", "/admin/failed/handler%2Fpost/1", "/admin/timers"] {
        office.get(path).await.is_problem(503, "queues-unavailable");
    }
    switch(&office, "pause").await.is_problem(503, "queues-unavailable");
}

#[tokio::test]
async fn the_catalogue_names_the_listeners_that_get_an_event() {
    let office = Office::open().await;
    let catalogue = office.get("/admin/catalogue?type=letter").await.json();
    let expected = json!([
        {"kind": "handler", "name": "handler/post"},
        {"kind": "reactor", "name": "reactor/copies"},
    ]);
    assert_eq!(catalogue["events"][0]["consumers"], expected, "{catalogue}");
}

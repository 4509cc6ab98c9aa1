//! The health of the queues.

use dormouse_messaging::QueueStore;
use serde_json::{Value, json};

use super::letters::{Office, eventually};

/// The status of the component, and of the handler.
async fn health(office: &Office) -> (Value, Value) {
    let health = office.get("/health/queues").await;
    assert_eq!(health.status, 200, "commands do not need listeners: {health:?}");
    let health = health.json();
    let post =
        health["listeners"].as_array().unwrap().iter().find(|one| one["name"] == "handler/post").unwrap().clone();
    (health["status"].clone(), post)
}

#[track_caller]
fn says(reason: &Value, expected: &str) {
    assert!(reason.as_str().is_some_and(|reason| reason.contains(expected)), "{expected}: {reason}");
}

#[tokio::test]
async fn listeners_that_have_caught_up_are_ok() {
    let office = Office::open().await;
    office.write("l-1", "hello").await;
    office.has_dead(0).await;
    let (status, post) = health(&office).await;
    assert_eq!((&status, &post["status"], &post["reason"]), (&json!("ok"), &json!("ok"), &Value::Null));
    let all = office.get("/health/queues").await.json();
    assert_eq!(all["store"], "connected");
    assert!(all["queues"].as_array().unwrap().iter().any(|queue| queue["name"] == "default"), "{all}");
}

#[tokio::test]
async fn dead_letters_are_reported_and_do_not_make_the_server_unready() {
    let office = Office::open().await;
    office.write("l-1", "bad").await;
    office.has_dead(1).await;
    let (status, post) = health(&office).await;
    assert_eq!((&status, &post["status"], &post["dead"]), (&json!("degraded"), &json!("degraded"), &json!(1)));
    says(&post["reason"], "it has 1 dead letters: `failed list handler/post`");
    assert_eq!(office.get("/health").await.json()["status"], "degraded");
    assert_eq!(office.get("/health/ready").await.status, 200);
}

#[tokio::test]
async fn an_open_circuit_breaker_is_reported() {
    let office = Office::open().await;
    for number in 0..10 {
        office.write(&format!("l-{number}"), "bad").await;
    }
    eventually(async || office.listener("handler/post").await["breaker"]["state"] == "open").await;
    assert!(office.listener("handler/post").await["breaker"]["open_seconds"].as_f64() > Some(0.0));
    says(&health(&office).await.1["reason"], "circuit breaker is open");
}

#[tokio::test]
async fn a_listener_that_is_paused_behind_the_log_is_reported() {
    let office = Office::with(|config| config.listeners.paused = vec!["handler/post".to_owned()]).await;
    office.write("l-1", "hello").await;
    eventually(async || health(&office).await.1["state"] == "paused").await;
    says(&health(&office).await.1["reason"], "it is paused, ");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_reported() {
    let office = Office::open().await;
    office.queues.close().await;
    office.write("l-1", "hello").await;
    eventually(async || health(&office).await.1["state"] == "retrying").await;
    let all = office.get("/health/queues").await.json();
    assert_eq!((&all["status"], &all["store"]), (&json!("degraded"), &json!("unreachable")));
    says(&health(&office).await.1["reason"], "it cannot store its progress");
}

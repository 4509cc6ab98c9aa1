//! The server and tools of others: client generators and a linter for the description of its API (`tests/clients`),
//! Prometheus for its metrics, the library of Standard Webhooks for its signatures, NATS, and makers of tokens; cargo-deny
//! for what it is built of.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests do")]

#[path = "third_parties/supply_chain.rs"]
mod supply_chain;
#[path = "third_parties/tokens.rs"]
mod tokens;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use dormouse_harness::{Ability, Nats, NatsMessage, Server, eventually};
use serde_json::{Value, json};

/// Longer than a client waits before it connects again.
const SOON: Duration = Duration::from_secs(60);

/// Where `tests/clients/install` puts packages from npm and PyPI.
fn clients_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients")
}

#[test]
fn clients_generated_from_the_description_order_something_and_a_linter_finds_nothing() {
    if Ability::Packages.is_switched_off() {
        return;
    }
    let server = Server::builder().set("webhooks.allow_private=true").start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/run");
    let output = Command::new(script).arg(server.url()).arg(clients_folder()).output().unwrap();
    let told = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{}{}\n{}", told[0], told[1], Ability::Packages.hint());
}

#[test]
fn promtool_finds_nothing_in_the_metrics() {
    if Ability::Packages.is_switched_off() {
        return;
    }
    let server = Server::builder().start();
    let client = server.client();
    let stock = serde_json::json!({"change": 1, "reason": "delivery"});
    let delivered = client.post("/v1/inventory/sku-1/update-inventory", &stock).unwrap();
    assert_eq!(delivered.status, 200);
    let written = ("Dormouse-Min-Position", delivered.header("dormouse-position").unwrap());
    for path in ["/v1/inventory/sku-1", "/v1/views/inventory", "/v1/views/inventory/sku-1", "/v1/events"] {
        assert_eq!(client.request("GET", path, &[written], None).unwrap().status, 200, "{path}");
    }
    let metrics = client.get("/metrics").unwrap();
    let check =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut check = check.unwrap_or_else(|error| panic!("promtool: {error}; {}", Ability::Packages.hint()));
    check.stdin.take().unwrap().write_all(metrics.text().as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn restock(server: &Server, id: &str) {
    let body = json!({"change": 1, "reason": "counted"});
    let answer = server.client().post(&format!("/v1/inventory/{id}/update-inventory"), &body).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
}

/// The messages of a stream by aggregate: each event once, in order, with its id.
fn assert_complete(messages: &[NatsMessage], aggregates: usize, versions: usize) {
    assert_eq!(messages.len(), aggregates * versions);
    for aggregate in 0..aggregates {
        let subject = format!("inventory/sku-{aggregate}");
        let events = messages.iter().map(|message| (message, serde_json::from_slice::<Value>(&message.body).unwrap()));
        let events: Vec<_> = events.filter(|(_, event)| event["subject"] == *subject).collect();
        let found: Vec<_> =
            events.iter().map(|(_, event)| event["dormouseversion"].as_str().unwrap().to_owned()).collect();
        let expected: Vec<_> = (1..=versions).map(|version| version.to_string()).collect();
        assert_eq!(found, expected, "{subject}");
        for (message, event) in events {
            assert_eq!(message.id, event["id"].as_str().unwrap());
            assert_eq!(message.subject, "dormouse.inventory.InventoryUpdated");
        }
    }
}

#[test]
fn nats_has_every_event_once_although_both_servers_are_killed() {
    if Ability::Packages.is_switched_off() {
        return;
    }
    let mut nats = Nats::start();
    nats.create_stream("dormouse", "dormouse.>");
    let mut server = Server::builder().set(format!("nats.url={:?}", nats.url())).start();
    let restock_all = |server: &Server| (0..10).for_each(|aggregate| restock(server, &format!("sku-{aggregate}")));
    restock_all(&server);
    restock_all(&server);
    nats.kill();
    restock_all(&server);
    restock_all(&server);
    nats.start_again();
    restock_all(&server);
    server.kill();
    nats.kill();
    server.restart();
    restock_all(&server);
    nats.start_again();
    eventually("NATS has all events", SOON, || nats.messages("dormouse").len() >= 60);
    assert_complete(&nats.messages("dormouse"), 10, 6);
}

#[test]
fn a_missing_stream_is_told_or_created() {
    if Ability::Packages.is_switched_off() {
        return;
    }
    let nats = Nats::start();
    let server = Server::builder().set(format!("nats.url={:?}", nats.url())).start();
    restock(&server, "sku-0");
    eventually("the log says what to do", SOON, || server.logs().contains("nats stream add dormouse --subjects"));
    assert!(nats.messages("dormouse").is_empty());
    let creating = Server::builder().set(format!("nats.url={:?}", nats.url())).set("nats.create_stream=true").start();
    restock(&creating, "sku-0");
    eventually("the stream has events", SOON, || nats.messages("dormouse").len() >= 2);
    drop((server, creating));
}

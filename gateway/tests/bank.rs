//! The example of an own application keeps what it promises: small, complete, durable.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests do")]

use std::fs;
use std::path::Path;

use dormouse_harness::{Answer, Server, bank_example};
use serde_json::json;

/// Its own tests run here, too.
#[path = "../examples/bank.rs"]
#[expect(dead_code, reason = "nobody calls its main here")]
mod bank;

const LINES_MAX: usize = 120;

fn ask(server: &Server, command: &str, body: &serde_json::Value) -> Answer {
    server.client().post(&format!("/v1/account/ada/{command}"), body).unwrap()
}

fn balance(server: &Server) -> serde_json::Value {
    let answer = server.client().get("/v1/account/ada").unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["state"]["balance"].clone()
}

#[test]
fn money_survives_a_kill() {
    let mut server = Server::builder().program(bank_example()).start();
    assert_eq!(ask(&server, "deposit", &json!({"amount": 1})).status, 422);
    for (command, body) in
        [("open", json!({"owner": "Ada"})), ("deposit", json!({"amount": 50})), ("withdraw", json!({"amount": 8}))]
    {
        let answer = ask(&server, command, &body);
        assert_eq!(answer.status, 200, "{command}: {answer}");
    }
    assert_eq!(balance(&server), 42);

    server.kill();
    server.restart();
    assert_eq!(balance(&server), 42);
    let refused = ask(&server, "withdraw", &json!({"amount": 43}));
    assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("insufficient-funds")), "{refused}");
}

#[test]
fn an_own_application_is_one_small_file() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/bank.rs");
    let lines = fs::read_to_string(source).unwrap().lines().count();
    assert!(lines < LINES_MAX, "{lines} lines");
}

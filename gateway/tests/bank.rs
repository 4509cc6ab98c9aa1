//! The example of an application: it is small, complete and durable.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests do")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use dormouse_harness::{Answer, Server, bank_example, eventually};
use serde_json::json;

/// The tests of the example run here, too.
#[path = "../examples/bank.rs"]
#[expect(dead_code, reason = "its main is not called here")]
mod bank;

const LINES_MAX: usize = 350;

const SOON: Duration = Duration::from_secs(60);

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

/// Deposits a cent repeatedly, and reads the balance after each deposit. Returns how many of the reads were too old.
fn stale_reads(server: &Server, pairs: u64, names_its_write: bool) -> u64 {
    let mut stale = 0;
    let before = balance(server).as_u64().unwrap();
    for paid in before + 1..=before + pairs {
        let deposited = ask(server, "deposit", &json!({"amount": 1}));
        assert_eq!(deposited.status, 200, "{deposited}");
        let token = deposited.header("dormouse-position").unwrap();
        let headers: &[(&str, &str)] = if names_its_write { &[("Dormouse-Min-Position", token)] } else { &[] };
        let read = server.client().request("GET", "/v1/views/balances/ada", headers, None).unwrap();
        assert!([200, 404].contains(&read.status), "{read}");
        let seen = if read.status == 200 { read.json()["document"]["balance"].as_u64().unwrap() } else { 0 };
        assert!(seen <= paid, "{seen} of {paid}");
        stale += u64::from(seen < paid);
    }
    stale
}

/// Pauses or resumes the view of the balances.
fn operate(server: &Server, action: &str) {
    let answer = server.client().post(&format!("/admin/projections/balances/{action}"), &json!({})).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
}

#[test]
fn a_read_that_names_a_write_is_never_older() {
    let mut server = Server::builder().program(bank_example()).start();
    assert_eq!(ask(&server, "open", &json!({"owner": "Ada"})).status, 200);
    assert_eq!(stale_reads(&server, 500, true), 0);
    // A read without a position may be too old: while the view stands still, each of them is.
    operate(&server, "pause");
    assert_eq!(stale_reads(&server, 500, false), 500);
    operate(&server, "resume");
    eventually("the view catches up", SOON, || {
        server.client().get("/admin/projections/balances").unwrap().json()["lag"] == 0
    });

    server.kill();
    server.restart();
    assert_eq!(stale_reads(&server, 1, true), 0);
    let rich = server.client().get("/v1/views/balances?filter%5Bbalance%5D%5Bgte%5D=1001&fields=owner").unwrap();
    assert_eq!(rich.json()["items"][0]["document"], json!({"owner": "Ada"}), "{rich}");

    server.terminate();
    assert!(server.wait(SOON).success());
    let logs = server.logs();
    // On a busy machine a command may have been slow. That warning does not concern the shutdown.
    let is_warning = |line: &&str| line.contains("WARN") && !line.contains("\"slow ");
    assert_eq!(logs.lines().find(is_warning), None, "a shutdown in good order logs no warning:\n{logs}");
}

#[test]
fn an_application_is_one_small_file() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/bank.rs");
    let lines = fs::read_to_string(source).unwrap().lines().count();
    assert!(lines <= LINES_MAX, "{lines} lines");
}

//! The server and tools of others: client generators and a linter for the description of its API (`tests/clients`), and
//! Prometheus for its metrics.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use dormouse_harness::{Ability, Server};

#[test]
fn clients_generated_from_the_description_order_something_and_a_linter_finds_nothing() {
    if Ability::Packages.is_switched_off() {
        return;
    }
    let server = Server::builder().start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/run");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let output = Command::new(script).arg(server.url()).arg(folder).output().unwrap();
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

//! A file of commands, sent to a running server.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use dormouse_harness::{Server, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Ended, PROGRAM, SOON, command, run_in, server_in};

const SKUS: usize = 30;

fn restock(number: usize) -> String {
    let body = json!({"change": 1, "reason": "delivery"});
    json!({"type": "inventory", "id": format!("SKU-{}", number % SKUS), "command": "update-inventory", "body": body})
        .to_string()
}

fn import(server: &Server, directory: &Path, more: &[&str]) -> Ended {
    run_in(directory, &[&["import", "stock.ndjson", "--json", "--server", &server.url()], more].concat())
}

fn summary(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn in_stock(server: &Server) -> u64 {
    let stocks = (0..SKUS).map(|sku| server.client().get(&format!("/v1/inventory/SKU-{sku}")).unwrap());
    stocks.filter(|stock| stock.status == 200).map(|stock| stock.json()["state"]["on_hand"].as_u64().unwrap()).sum()
}

#[test]
fn an_interrupted_import_continues_and_carries_nothing_out_twice() {
    const LINES: usize = 3_000;
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("stock.ndjson"), (0..LINES).map(|at| restock(at) + "\n").collect::<String>())
        .unwrap();
    let mut server = server_in(directory.path()).start();
    let mut first = command(directory.path(), &["import", "stock.ndjson", "--server", &server.url()]);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("some of it is carried out", SOON, || in_stock(&server) > 100);
    server.kill();
    first.kill().unwrap();
    first.wait().unwrap();

    server.restart();
    let before = in_stock(&server);
    let rest = import(&server, directory.path(), &[]);
    assert_eq!(rest.code, Some(0), "{rest:?}");
    let output = summary(&rest);
    assert_eq!((&output["done"], &output["failed"]), (&json!(LINES), &json!(0)));
    assert!(output["replayed"].as_u64().unwrap() >= before.min(1), "{output}");
    assert_eq!(in_stock(&server), LINES as u64);
    assert_eq!(summary(&import(&server, directory.path(), &[]))["replayed"], LINES);
    assert_eq!(in_stock(&server), LINES as u64);

    assert_eq!(summary(&import(&server, directory.path(), &["--name", "another"]))["replayed"], 0);
    assert_eq!(in_stock(&server), 2 * LINES as u64);
}

#[test]
fn refused_lines_are_reported_and_kept() {
    let (directory, server) = (TempDir::new().unwrap(), Server::builder().program(PROGRAM).journal("memory:").start());
    let too_many = restock(1).replace("\"change\":1", "\"change\":-5");
    let text = [restock(1), too_many, "no JSON".to_owned(), String::new(), restock(2)].join("\n");
    fs::write(directory.path().join("stock.ndjson"), text).unwrap();
    let refused = import(&server, directory.path(), &["--failed", "failed.ndjson"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!((&summary(&refused)["done"], &summary(&refused)["failed"]), (&json!(2), &json!(2)));
    assert!(refused.stderr.contains("line 2: ") && refused.stderr.contains("(422)"), "{refused:?}");
    assert!(refused.stderr.contains("line 3: it is not an object in JSON"), "{refused:?}");
    let failed = fs::read_to_string(directory.path().join("failed.ndjson")).unwrap();
    let failed: Vec<_> = failed.lines().collect();
    assert!(failed.len() == 2 && failed.contains(&"no JSON"), "{failed:?}");
    assert!(failed.iter().any(|line| line.contains("\"key\":\"import-")), "{failed:?}");
}

#[test]
fn an_import_that_cannot_begin_says_why() {
    let directory = TempDir::new().unwrap();
    let missing = run_in(directory.path(), &["import", "nothing.ndjson", "--server", "http://127.0.0.1:9"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.stderr.contains("cannot read nothing.ndjson"), "{missing:?}");
    fs::write(directory.path().join("stock.ndjson"), restock(1)).unwrap();
    let mut nameless = command(directory.path(), &["import", "-", "--server", "http://127.0.0.1:9"]);
    nameless.stdin(fs::File::open(directory.path().join("stock.ndjson")).unwrap());
    let nameless = super::ended(nameless);
    assert_eq!(nameless.code, Some(2), "{nameless:?}");
    assert!(nameless.stderr.contains("--name"), "{nameless:?}");
}

//! Files that were changed from outside. The server notices the change, and rebuilds what can be rebuilt; it never
//! gives a wrong answer.
//!
//! `runtime/journal/src/store/sqlite/tests/damage.rs` flips many random bits without a server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use dormouse_harness::{Answer, LedgerCheck, Server, Shop, eventually};
use serde_json::json;

const SOON: Duration = Duration::from_secs(30);

const ACKNOWLEDGED: usize = 100;

#[test]
fn a_damaged_event_quarantines_its_aggregate_only() {
    let mut server = Server::builder().set("snapshots.strategy=\"never\"").start();
    for sku in ["bolts", "nuts", "screws"] {
        assert_eq!(update(&server, sku, &format!("delivery of {sku}")).status, 200);
        assert_eq!(update(&server, sku, "count").status, 200);
    }
    stop(&mut server);
    flip_bit_in(&file(&server, "journal.db"), "delivery of nuts");

    server.restart();
    for _ in 0..2 {
        let damaged = read(&server, "nuts");
        assert!(matches!(damaged.status, 500 | 503), "{damaged}");
        let refused = update(&server, "nuts", "after");
        assert!(matches!(refused.status, 500 | 503), "{refused}");
    }
    let history = server.client().get("/v1/inventory/nuts/events").unwrap();
    assert_eq!(history.status, 500, "{history}");
    for sku in ["bolts", "screws"] {
        assert_eq!(read(&server, sku).json()["version"], 2);
        assert_eq!(update(&server, sku, "after").json()["version"], 3);
    }
    assert_eq!(server.client().get("/health/aggregates").unwrap().json()["quarantined"], 1);
    assert_eq!(server.client().get("/health/ready").unwrap().status, 200);
}

#[test]
fn a_damaged_snapshot_is_replaced_by_replay() {
    let mut server = Server::builder().set("snapshots.strategy=\"every_n\"").set("snapshots.threshold=2").start();
    assert_eq!(update(&server, "nuts", "delivery").status, 200);
    let reservation = json!({"order": "order-of-ada", "quantity": 1});
    let reserved = server.client().post("/v1/inventory/nuts/reserve-stock", &reservation).unwrap();
    assert_eq!(reserved.status, 200, "{reserved}");
    let before = read(&server, "nuts").json();
    stop(&mut server);
    flip_bit_in(&file(&server, "snapshots.db"), "order-of-ada");

    server.restart();
    assert_eq!(read(&server, "nuts").json(), before);
    eventually("the log says so", SOON, || server.logs().contains("a damaged snapshot is skipped"));
}

#[test]
fn the_index_is_rebuilt_whatever_happens_to_it() {
    let mut server = Server::builder().set("passivation.max_live=4").set("passivation.sweep_interval=20ms").start();
    let shop = Shop::builder().clients(8).open(&server.url());
    let (index, older) = (file(&server, "index.db"), file(&server, "older.db"));
    let meanwhile = |server: &mut Server, happens: &dyn Fn(), restarts: bool| {
        shop.wait_for_acknowledgements(ACKNOWLEDGED);
        if restarts {
            stop(server);
        }
        happens();
        if restarts {
            server.restart();
            shop.moved_to(&server.url());
        }
    };
    meanwhile(&mut server, &|| _ = fs::copy(&index, &older).unwrap(), true);
    meanwhile(&mut server, &|| fs::remove_file(&index).unwrap(), false);
    meanwhile(&mut server, &|| fs::remove_file(&index).unwrap_or_default(), true);
    meanwhile(&mut server, &|| truncate(&index, 0), false);
    meanwhile(&mut server, &|| truncate(&index, 4096), true);
    meanwhile(&mut server, &|| truncate(&index, 8192), false);
    meanwhile(&mut server, &|| _ = fs::copy(&older, &index).unwrap(), true);
    shop.wait_for_acknowledgements(ACKNOWLEDGED);
    LedgerCheck::of(&shop.close(), &server.client()).expect_none();
}

#[test]
fn a_log_without_acknowledged_events_is_refused() {
    let mut server = Server::builder().start();
    assert_eq!(update(&server, "nuts", "delivery").status, 200);
    stop(&mut server);
    let (log, backup) = (file(&server, "journal.db"), file(&server, "backup.db"));
    fs::copy(&log, &backup).unwrap();
    server.restart();
    assert_eq!(update(&server, "nuts", "delivery").json()["version"], 2);
    stop(&mut server);
    fs::copy(&backup, &log).unwrap();

    let refused = server.try_restart().unwrap_err();
    assert_eq!(refused.status().unwrap().code(), Some(1));
    let said = "it knows of events up to position 2, and the log ends at 1";
    assert!(refused.logs().contains(said), "{refused}");

    // As the message says: without the derived files, the loss is accepted. The queues say what they know, too.
    fs::remove_file(file(&server, "index.db")).unwrap();
    fs::remove_file(file(&server, "snapshots.db")).unwrap();
    let refused = server.try_restart().unwrap_err();
    assert!(refused.logs().contains("the queues belong to another history than the journal"), "{refused}");
    fs::remove_file(file(&server, "queue.db")).unwrap();
    server.restart();
    assert_eq!(read(&server, "nuts").json()["version"], 1);
}

fn update(server: &Server, sku: &str, reason: &str) -> Answer {
    let path = format!("/v1/inventory/{sku}/update-inventory");
    server.client().post(&path, &json!({"change": 3, "reason": reason})).unwrap()
}

fn read(server: &Server, sku: &str) -> Answer {
    server.client().get(&format!("/v1/inventory/{sku}")).unwrap()
}

/// Stops in order, so that the files contain everything.
fn stop(server: &mut Server) {
    server.terminate();
    assert!(server.wait(SOON).success(), "{}", server.logs());
}

fn file(server: &Server, name: &str) -> PathBuf {
    server.working_directory().join("data").join(name)
}

/// At every occurrence of the text.
fn flip_bit_in(file: &PathBuf, text: &str) {
    let mut bytes = fs::read(file).unwrap();
    let starts: Vec<usize> = bytes
        .windows(text.len())
        .enumerate()
        .filter(|(_, window)| *window == text.as_bytes())
        .map(|(start, _)| start)
        .collect();
    assert!(!starts.is_empty(), "{} does not hold {text:?}", file.display());
    for start in starts {
        bytes[start] ^= 1;
    }
    fs::write(file, bytes).unwrap();
}

fn truncate(file: &PathBuf, length: u64) {
    fs::File::options().write(true).create(true).truncate(false).open(file).unwrap().set_len(length).unwrap();
}

//! `events catalogue`, on a server that runs.

use serde_json::Value;
use tempfile::TempDir;

use super::{run, server_in};

#[test]
fn the_catalogue_lists_the_event_types_of_a_server_and_who_reads_them() {
    let directory = TempDir::new().unwrap();
    let server = server_in(directory.path()).start();
    let catalogue =
        |arguments: &[&str]| run(&[&["events", "catalogue", "--server", &server.url()], arguments].concat());
    let all = catalogue(&[]);
    assert_eq!((all.code, all.stderr.as_str()), (Some(0), ""), "{all:?}");
    let line = |event: &str| all.stdout.lines().find(|line| line.contains(event)).unwrap_or_else(|| panic!("{all:?}"));
    assert!(line("InventoryUpdated").starts_with("inventory "), "{all:?}");
    assert!(line("OrderCreated").ends_with("customer-totals, daily-sales, orders"), "{all:?}");
    let orders = catalogue(&["order", "--json"]);
    let orders: Value = serde_json::from_str(&orders.stdout).unwrap();
    let events = orders["events"].as_array().unwrap();
    assert!(!events.is_empty() && events.iter().all(|event| event["aggregate"] == "order"), "{orders}");
    let wrong = catalogue(&["ordr"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("did you mean \"order\"?"), "{wrong:?}");
}

//! Transfers, alarms and receipts under SIGKILL, and what became of them.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use dormouse_harness::{DeliveryCheck, Ledger, Random, Script, Server, ServerBuilder, Shop, failing_binary};

/// Where the handler writes its effects, in the directory of the server.
const EFFECTS: &str = "effects";

/// Enough that jobs of all consumers are in progress at any moment, and few enough that the consumers keep up.
const CLIENTS: usize = 12;

/// The life of a process: from hardly started to well under load.
const LIFE: Range<Duration> = Duration::from_millis(50)..Duration::from_millis(700);

/// The number of acknowledgements before the first kill, and after the last.
const ACKNOWLEDGED_BETWEEN: usize = 150;

/// What goes wrong besides kills: some jobs wait for a moment before their first step, longer than progress takes to be
/// stored, and some commits take longer than a delivery may, so that deliveries are repeated that took effect.
pub(crate) const TROUBLE: &str = "attempting=10%sleep(60);committed=2%sleep(700)";

/// The settings for that: a delivery is attempted again soon and as often as necessary. On a busy machine, most
/// deliveries must take less than the timeout, or none would ever succeed.
const SETTINGS: [&str; 4] = [
    "messages.timeout=\"500ms\"",
    "messages.tries=1000",
    "messages.backoff_min=\"20ms\"",
    "messages.backoff_max=\"200ms\"",
];

/// A server with these failpoints, whose handler writes its effects into a file.
pub(crate) fn troubled(server: ServerBuilder, failpoints: &str) -> ServerBuilder {
    let server = server.program(failing_binary()).environment("FAILPOINTS", failpoints).environment("EFFECTS", EFFECTS);
    SETTINGS.iter().fold(server, |server, setting| server.set(*setting))
}

pub(crate) fn effects(server: &Server) -> PathBuf {
    server.working_directory().join(EFFECTS)
}

/// Kills the server so many times under load, and waits until all is delivered.
pub(crate) fn hunt(server: &mut Server, kills: usize) -> (Arc<Ledger>, DeliveryCheck) {
    let mut random = Random::of_test();
    let shop = Shop::builder().script(Script::Messages).clients(CLIENTS).open(&server.url());
    shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN);
    for _ in 0..kills {
        sleep(random.duration(LIFE));
        server.kill();
        server.restart();
        shop.moved_to(&server.url());
    }
    shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN);
    let ledger = shop.close();
    let check = DeliveryCheck::settled(&server.client(), &effects(server));
    println!("after {kills} kills: {check}");
    (ledger, check)
}

//! Thousands of timers that are due within seconds, and a server that is killed amid them.

use std::time::Duration;

use dormouse_harness::{DeliveryCheck, Log, Server, eventually, failing_binary};
use serde_json::json;

use crate::hunt::effects;

const ALARMS: usize = 20;
const TIMERS_OF_EACH: usize = 200;

/// The bound for all of them. Without a fault it takes three seconds.
const BOUND: Duration = Duration::from_secs(60);

#[test]
fn each_of_thousands_of_timers_amid_sigkills_fires_once() {
    let timers = ALARMS * TIMERS_OF_EACH;
    let mut server = Server::builder().program(failing_binary()).start();
    let client = server.client();
    for alarm in 0..ALARMS {
        let many = json!({"count": TIMERS_OF_EACH, "after_ms": 300, "over_ms": 2500});
        let answer = client.post(&format!("/v1/alarm/{alarm}/set-many"), &many).unwrap();
        assert_eq!(answer.status, 200, "{answer}");
    }
    for part in [4, 2] {
        let client = server.client();
        let mut log = Log::default();
        eventually("a part of the timers", BOUND, || {
            log.read_on(&client);
            // The rest are the events that set them.
            log.head() as usize >= timers + timers / part
        });
        server.kill();
        server.restart();
    }
    let check = DeliveryCheck::settled(&server.client(), &effects(&server));
    println!("{check}");
    check.expect_none();
    assert_eq!(check.rings(), timers);
}

//! Waiting until the server has delivered all messages: until then, histories grow without a client.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Client;

/// After a campaign, thousands of messages may be on their way.
const BOUND: Duration = Duration::from_secs(60);

/// The time between two looks at the gauges.
const POLL: Duration = Duration::from_millis(20);

/// The gauges that are zero when nothing is on its way.
const UNDER_WAY: [&str; 4] =
    ["dormouse_consumer_lag_events{", "state=\"ready\"", "state=\"running\"", "state=\"waiting\""];

/// Waits until no message is on its way.
///
/// # Panics
/// If that takes longer than a minute.
#[track_caller]
pub fn wait_for_messages(client: &Client) {
    assert!(are_delivered(client), "the delivery of all messages did not happen within {BOUND:?}");
}

/// Waits in the same way. Returns whether all messages were delivered within a minute: a broken server may never do it.
pub(crate) fn are_delivered(client: &Client) -> bool {
    let (began, mut idle) = (Instant::now(), 0);
    while began.elapsed() < BOUND {
        // A job that ends between two gauges of one sample may have caused another, which the next sample shows.
        idle = if is_idle(client) { idle + 1 } else { 0 };
        if idle >= 2 {
            return true;
        }
        sleep(POLL);
    }
    false
}

fn is_idle(client: &Client) -> bool {
    let Ok(metrics) = client.get("/metrics") else { return false };
    let metrics = metrics.text();
    let gauges = metrics.lines().filter(|line| !line.starts_with('#'));
    let mut gauges = gauges.filter(|line| {
        line.starts_with(UNDER_WAY[0])
            || line.starts_with("dormouse_jobs{") && UNDER_WAY[1..].iter().any(|state| line.contains(state))
    });
    gauges.all(|line| line.ends_with(" 0"))
}

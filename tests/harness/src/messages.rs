//! Waiting until the server has delivered all messages: until then, histories grow without a client.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Client;

/// The bound for progress. After a campaign, thousands of messages may be on their way, which take longer together.
const BOUND: Duration = Duration::from_secs(60);

/// The time between two looks at the gauges.
const POLL: Duration = Duration::from_millis(20);

/// The gauges that are zero when nothing is on its way.
const UNDER_WAY: [&str; 4] =
    ["dormouse_consumer_lag_events{", "state=\"ready\"", "state=\"running\"", "state=\"waiting\""];

/// Waits until no message is on its way.
///
/// # Panics
/// If their number has not become smaller for a minute.
#[track_caller]
pub fn wait_for_messages(client: &Client) {
    assert!(are_delivered(client), "progress in the delivery of all messages did not happen within {BOUND:?}");
}

/// Waits in the same way. Returns whether all messages were delivered: a broken server may never do it.
pub(crate) fn are_delivered(client: &Client) -> bool {
    let (mut progressed, mut least, mut idle) = (Instant::now(), u64::MAX, 0);
    while progressed.elapsed() < BOUND {
        let left = under_way(client);
        // A job that ends between two gauges of one sample may have caused another, which the next sample shows.
        idle = if left == Some(0) { idle + 1 } else { 0 };
        if idle >= 2 {
            return true;
        }
        if let Some(left) = left.filter(|left| *left < least) {
            (progressed, least) = (Instant::now(), left);
        }
        sleep(POLL);
    }
    false
}

/// The sum of the gauges. `None` if the server does not tell it.
fn under_way(client: &Client) -> Option<u64> {
    let metrics = client.get("/metrics").ok()?;
    let metrics = metrics.text();
    let gauges = metrics.lines().filter(|line| !line.starts_with('#'));
    let gauges = gauges.filter(|line| {
        line.starts_with(UNDER_WAY[0])
            || line.starts_with("dormouse_jobs{") && UNDER_WAY[1..].iter().any(|state| line.contains(state))
    });
    gauges.map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

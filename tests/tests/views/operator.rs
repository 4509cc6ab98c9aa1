//! The actions of an operator on projections, through the admin API.

use std::time::Duration;

use dormouse_harness::{Answer, Client, eventually};
use serde_json::{Value, json};

/// The bound for a rebuild under load.
const REBUILT_BOUND: Duration = Duration::from_secs(60);

/// Starts a rebuild of a view beside the build that is served.
pub(crate) fn rebuild(client: &Client, view: &str) {
    let answer = client.post(&format!("/admin/projections/{view}/rebuild"), &json!({})).unwrap();
    assert!((200..300).contains(&answer.status), "{answer}");
}

/// Ensures that a view is being rebuilt. The rebuild may have started before the process was killed.
pub(crate) fn keep_rebuilding(client: &Client, view: &str) {
    let answer = client.post(&format!("/admin/projections/{view}/rebuild"), &json!({})).unwrap();
    assert!(matches!(answer.status, 200..300 | 409), "{answer}");
}

/// Waits until a build after `before` is served, and no other is being built.
pub(crate) fn wait_until_rebuilt(client: &Client, view: &str, before: u64) {
    eventually(&format!("{view} built anew after {before}"), REBUILT_BOUND, || {
        let projection = projection(client, view);
        projection["rebuild"].is_null() && projection["build"].as_u64() > Some(before)
    });
}

/// The number of the build that is served.
pub(crate) fn build(client: &Client, view: &str) -> u64 {
    projection(client, view)["build"].as_u64().expect("a build is served")
}

/// Retries the parked events of an aggregate.
pub(crate) fn retry(client: &Client, view: &str, aggregate: &str, id: &str) -> Answer {
    client.post(&format!("/admin/projections/{view}/retry"), &json!({"aggregate": aggregate, "id": id})).unwrap()
}

/// The status of a projection.
pub(crate) fn projection(client: &Client, view: &str) -> Value {
    let answer = client.get(&format!("/admin/projections/{view}")).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()
}

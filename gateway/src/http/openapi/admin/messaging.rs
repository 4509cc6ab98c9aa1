//! The paths of operators for listeners, queues, failed jobs and timers.

use serde_json::{Map, Value, json};

use super::operation;

/// Statuses with which a list can fail.
const LIST: [u16; 4] = [400, 404, 503, 504];

/// Statuses with which a change can fail.
const CHANGE: [u16; 6] = [400, 403, 404, 409, 503, 504];

/// Adds the paths for listeners, queues, failed jobs and timers.
pub(super) fn add(paths: &mut Map<String, Value>) {
    add_listeners(paths);
    add_failed(paths);
    let queues = operation("queues", "The depth and the workers of all queues", &[], &[400, 504]);
    paths.insert("/admin/queues".to_owned(), json!({ "get": queues }));
    let summary = "The timers that aggregates have set, those that are due next first";
    let timers = operation("timers", summary, &["listed", "place"], &[400, 503, 504]);
    paths.insert("/admin/timers".to_owned(), json!({ "get": timers }));
}

fn add_listeners(paths: &mut Map<String, Value>) {
    let all = operation("listeners", "The position and state of all listeners", &[], &[400, 504]);
    paths.insert("/admin/listeners".to_owned(), json!({ "get": all }));
    for (action, summary) in [
        ("pause", "Let a listener start no job, also over restarts; it keeps its place"),
        ("resume", "Let a listener go on that an operator has paused"),
        ("disable", "Let a listener pass over all events, also over restarts"),
        ("enable", "Let a listener that an operator has disabled run again, from the next event on"),
    ] {
        let described = operation(&format!("listeners.{action}"), summary, &["listener"], &CHANGE);
        paths.insert(format!("/admin/listeners/{{name}}/{action}"), json!({ "post": described }));
    }
}

fn add_failed(paths: &mut Map<String, Value>) {
    let all = operation(
        "failed",
        "The dead letters of a listener, or of all: jobs that have failed too often",
        &["of_listener", "listed", "place"],
        &LIST,
    );
    paths.insert("/admin/failed".to_owned(), json!({ "get": all }));
    for (action, summary) in [
        ("retry", "Attempt dead letters again, the oldest first"),
        ("flush", "Give dead letters up, the oldest first: what they had to do is never done"),
    ] {
        let asked = ["of_listener", "released", "place"];
        let described = operation(&format!("failed.{action}"), summary, &asked, &CHANGE);
        paths.insert(format!("/admin/failed/{action}"), json!({ "post": described }));
    }
    let named = ["failed_listener", "job"];
    let one = operation(
        "failed.one",
        "A failed job, with the errors of all its attempts, and its event",
        &named,
        &[400, 404, 500, 503, 504],
    );
    paths.insert("/admin/failed/{listener}/{id}".to_owned(), json!({ "get": one }));
    for (action, summary) in [
        ("retry", "Attempt a dead letter again, with all of its tries; jobs that wait behind it follow"),
        ("skip", "Give a failed job up; jobs that wait behind it go on"),
    ] {
        let described = operation(&format!("failed.one.{action}"), summary, &named, &CHANGE);
        paths.insert(format!("/admin/failed/{{listener}}/{{id}}/{action}"), json!({ "post": described }));
    }
}

//! The paths of operators.

use serde_json::{Map, Value, json};

use super::paths::{parameters, responses};

/// The tag of these operations.
pub(super) const TAG: &str = "admin";

/// Statuses that a projection's operations can fail with.
const OPERATION: [u16; 8] = [400, 403, 404, 408, 409, 413, 503, 504];

pub(super) fn paths(paths: &mut Map<String, Value>) {
    let mut add = |path: &str, methods: Value| _ = paths.insert(path.to_owned(), methods);
    let at = |path: &str| format!("/admin/projections/{{name}}{path}");

    let quarantined = operation("quarantine", "Aggregates that failed too often, and why", &[], &[400, 504]);
    add("/admin/quarantine", json!({ "get": quarantined }));
    let release =
        operation("release", "Let a quarantined aggregate be used again", &["type", "id"], &[400, 403, 404, 504]);
    add("/admin/aggregates/{type}/{id}/release", json!({ "post": release }));

    let all = operation("projections", "How far all projections are, and how they fare", &[], &[400, 504]);
    add("/admin/projections", json!({ "get": all }));
    let one =
        operation("projections.one", "How far a projection is, and how it fares", &["projection"], &[400, 404, 504]);
    let drop = operation(
        "projections.drop",
        "Throw away a view whose projection is paused, has stopped, or is not in the application any more",
        &["projection"],
        &OPERATION,
    );
    add(&at(""), json!({ "get": one, "delete": drop }));
    let simple = [
        ("pause", "Let a projection stay where it is, also over restarts"),
        ("resume", "Let a projection go on that was paused, has stopped, or whose view was dropped"),
    ];
    for (action, summary) in simple {
        let described = operation(&format!("projections.{action}"), summary, &["projection"], &OPERATION);
        add(&at(&format!("/{action}")), json!({ "post": described }));
    }
    let position = json!({"type": "integer", "minimum": 0});
    let aggregate = |more: Option<(&str, &Value)>| {
        let text = json!({"type": "string"});
        let members = [("aggregate", &text), ("id", &text)].into_iter().chain(more);
        let (names, mut properties): (Vec<_>, Map<_, _>) =
            members.map(|(name, schema)| (name, (name.to_owned(), schema.clone()))).unzip();
        let dry_run = json!({"type": "boolean", "description": "Only say what would come of it."});
        properties.insert("dry_run".to_owned(), dry_run);
        json!({"type": "object", "required": names, "properties": properties})
    };
    let with_body = [
        (
            "rebuild",
            "Make a view anew beside the one that is served, and put it in its place",
            json!({"type": "object", "properties": {"start_over": {"type": "boolean"}}}),
        ),
        (
            "reset",
            "Throw away the documents of a view, and make it of the events after a position",
            json!({"type": "object", "required": ["to"], "properties": {"to": position}}),
        ),
        ("retry", "Project the parked events of an aggregate once more, in order", aggregate(None)),
        (
            "skip",
            "Leave the first parked event of an aggregate out, by its position, and go on behind it",
            aggregate(Some(("position", &position))),
        ),
    ];
    for (action, summary, schema) in with_body {
        let mut described = operation(&format!("projections.{action}"), summary, &["projection"], &OPERATION);
        described["requestBody"] = body(&schema);
        add(&at(&format!("/{action}")), json!({ "post": described }));
    }
    let parked = operation(
        "projections.parked",
        "Events that could not be projected, and those that wait behind them",
        &["projection", "parked_after", "limit"],
        &[400, 404, 503, 504],
    );
    add(&at("/parked"), json!({ "get": parked }));
    let of_aggregate = operation(
        "projections.parked.aggregate",
        "The same of one aggregate, with the events as they are in the journal",
        &["projection", "type", "id", "parked_after", "limit"],
        &[400, 404, 500, 503, 504],
    );
    add(&at("/parked/{type}/{id}"), json!({ "get": of_aggregate }));

    let types = operation(
        "snapshots",
        "The aggregate types, each with how many of its aggregates have snapshots",
        &[],
        &[400, 503, 504],
    );
    add("/admin/snapshots", json!({ "get": types }));
    let mut verify = operation(
        "snapshots.verify",
        "Compare snapshots with what their events lead to: of one aggregate, or page by page",
        &[],
        &[400, 403, 404, 408, 413, 500, 503, 504],
    );
    let text = json!({"type": "string"});
    verify["requestBody"] = body(&json!({
        "type": "object",
        "required": ["aggregate"],
        "properties": {"aggregate": text, "id": text, "after": text},
    }));
    add("/admin/snapshots/verify", json!({ "post": verify }));

    let stats =
        operation("cache", "What is kept of the views in memory, and of what use it was", &["detailed"], &[400, 404]);
    add("/admin/cache", json!({ "get": stats }));
    let mut clear =
        operation("cache.clear", "Drop what is kept, of some views or all", &[], &[400, 403, 404, 408, 413]);
    let views = json!({"type": "object", "properties": {"views": {"type": "array", "items": {"type": "string"}}}});
    clear["requestBody"] = body(&views);
    add("/admin/cache/clear", json!({ "post": clear }));

    let config = operation("config", "What the server runs with, and which keys can be changed", &[], &[400, 504]);
    let mut change =
        operation("config.change", "Change values until the server ends, all or none", &[], &[400, 403, 408, 413]);
    change["requestBody"] = body(&json!({"type": "object", "description": "Sections with keys, as in the file."}));
    add("/admin/config", json!({ "get": config, "patch": change }));
}

fn operation(id: &str, summary: &str, asked: &[&str], problems: &[u16]) -> Value {
    let answer = json!({"description": "It.", "content": {"application/json": {"schema": {"type": "object"}}}});
    json!({
        "operationId": id,
        "summary": summary,
        "tags": [TAG],
        "parameters": parameters(asked),
        "responses": responses(answer, problems),
    })
}

fn body(schema: &Value) -> Value {
    json!({"required": schema.get("required").is_some(), "content": {"application/json": {"schema": schema}}})
}

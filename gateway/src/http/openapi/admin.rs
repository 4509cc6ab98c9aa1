//! The paths of operators.

use serde_json::{Map, Value, json};

use super::paths::{parameters, responses};

/// The tag of these operations.
pub(super) const TAG: &str = "admin";

/// Statuses with which an operation on a projection can fail.
const OPERATION: [u16; 8] = [400, 403, 404, 408, 409, 413, 503, 504];

pub(super) fn paths(paths: &mut Map<String, Value>) {
    let mut add = |path: &str, methods: Value| _ = paths.insert(path.to_owned(), methods);
    let at = |path: &str| format!("/admin/projections/{{name}}{path}");

    let quarantined = operation("quarantine", "The aggregates that failed too often, with reasons", &[], &[400, 504]);
    add("/admin/quarantine", json!({ "get": quarantined }));
    let release = operation("release", "End the quarantine of an aggregate", &["type", "id"], &[400, 403, 404, 504]);
    add("/admin/aggregates/{type}/{id}/release", json!({ "post": release }));

    let all = operation("projections", "The position and state of all projections", &[], &[400, 504]);
    add("/admin/projections", json!({ "get": all }));
    let one = operation("projections.one", "The position and state of a projection", &["projection"], &[400, 404, 504]);
    let drop = operation(
        "projections.drop",
        "Drop a view whose projection is paused, has stopped, or was removed from the application",
        &["projection"],
        &OPERATION,
    );
    add(&at(""), json!({ "get": one, "delete": drop }));
    let simple = [
        ("pause", "Pause a projection, also over restarts"),
        ("resume", "Resume a projection that was paused or has stopped, or whose view was dropped"),
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
        let dry_run = json!({"type": "boolean", "description": "Only report the result, change nothing."});
        properties.insert("dry_run".to_owned(), dry_run);
        json!({"type": "object", "required": names, "properties": properties})
    };
    let with_body = [
        (
            "rebuild",
            "Build a view anew beside the one that is served, and replace it",
            json!({"type": "object", "properties": {"start_over": {"type": "boolean"}}}),
        ),
        (
            "reset",
            "Delete the documents of a view, and build it from the events after a position",
            json!({"type": "object", "required": ["to"], "properties": {"to": position}}),
        ),
        ("retry", "Project the parked events of an aggregate again, in order", aggregate(None)),
        (
            "skip",
            "Skip the first parked event of an aggregate, by its position, and project the later ones",
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
        "The events that could not be projected, and the events that wait for them",
        &["projection", "parked_after", "limit"],
        &[400, 404, 503, 504],
    );
    add(&at("/parked"), json!({ "get": parked }));
    let of_aggregate = operation(
        "projections.parked.aggregate",
        "The parked events of one aggregate, with their content in the journal",
        &["projection", "type", "id", "parked_after", "limit"],
        &[400, 404, 500, 503, 504],
    );
    add(&at("/parked/{type}/{id}"), json!({ "get": of_aggregate }));

    let types = operation(
        "snapshots",
        "The aggregate types, each with the number of its aggregates that have snapshots",
        &[],
        &[400, 503, 504],
    );
    add("/admin/snapshots", json!({ "get": types }));
    let mut verify = operation(
        "snapshots.verify",
        "Compare snapshots with the states of their events: of one aggregate, or page by page",
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
        operation("cache", "What the cache of views holds, and how often it could answer", &["detailed"], &[400, 404]);
    add("/admin/cache", json!({ "get": stats }));
    let mut clear =
        operation("cache.clear", "Clear the cache of some views, or of all", &[], &[400, 403, 404, 408, 413]);
    let views = json!({"type": "object", "properties": {"views": {"type": "array", "items": {"type": "string"}}}});
    clear["requestBody"] = body(&views);
    add("/admin/cache/clear", json!({ "post": clear }));

    let config = operation("config", "The server's configuration, and the keys that can be changed", &[], &[400, 504]);
    let mut change = operation(
        "config.change",
        "Change values until the server ends: all of them or none",
        &[],
        &[400, 403, 408, 413],
    );
    change["requestBody"] = body(&json!({"type": "object", "description": "Sections with keys, as in the file."}));
    add("/admin/config", json!({ "get": config, "patch": change }));
}

fn operation(id: &str, summary: &str, asked: &[&str], problems: &[u16]) -> Value {
    let answer = json!({"description": "The result.", "content": {"application/json": {"schema": {"type": "object"}}}});
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

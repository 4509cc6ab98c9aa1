//! The paths of operators.

use serde_json::{Map, Value, json};

use super::paths::{parameters, responses};

/// The tag of these operations.
pub(super) const TAG: &str = "admin";

/// Statuses with which an operation on a projection can fail.
const OPERATION: [u16; 8] = [400, 403, 404, 408, 409, 413, 503, 504];

/// Adds the paths of operators.
pub(super) fn add(paths: &mut Map<String, Value>) {
    add_quarantine(paths);
    add_projections(paths);
    add_operations(paths);
    add_parked(paths);
    add_catalogue(paths);
    add_snapshots(paths);
    add_cache(paths);
    add_config(paths);
}

fn add_quarantine(paths: &mut Map<String, Value>) {
    let quarantined = operation("quarantine", "The aggregates that failed too often, with reasons", &[], &[400, 504]);
    paths.insert("/admin/quarantine".to_owned(), json!({ "get": quarantined }));
    let release = operation("release", "End the quarantine of an aggregate", &["type", "id"], &[400, 403, 404, 504]);
    paths.insert("/admin/aggregates/{type}/{id}/release".to_owned(), json!({ "post": release }));
}

fn add_projections(paths: &mut Map<String, Value>) {
    let all = operation("projections", "The position and state of all projections", &[], &[400, 504]);
    paths.insert("/admin/projections".to_owned(), json!({ "get": all }));
    let one = operation("projections.one", "The position and state of a projection", &["projection"], &[400, 404, 504]);
    let drop = operation(
        "projections.drop",
        "Drop a view whose projection is paused, has stopped, or was removed from the application",
        &["projection"],
        &OPERATION,
    );
    paths.insert(of_projection(""), json!({ "get": one, "delete": drop }));
}

/// Adds the operations on a projection.
fn add_operations(paths: &mut Map<String, Value>) {
    let simple = [
        ("pause", "Pause a projection, also over restarts"),
        ("resume", "Resume a projection that was paused or has stopped, or whose view was dropped"),
    ];
    for (action, summary) in simple {
        let described = operation(&format!("projections.{action}"), summary, &["projection"], &OPERATION);
        paths.insert(of_projection(&format!("/{action}")), json!({ "post": described }));
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
        paths.insert(of_projection(&format!("/{action}")), json!({ "post": described }));
    }
}

fn add_parked(paths: &mut Map<String, Value>) {
    let parked = operation(
        "projections.parked",
        "The events that could not be projected, and the events that wait for them",
        &["projection", "parked_after", "limit"],
        &[400, 404, 503, 504],
    );
    paths.insert(of_projection("/parked"), json!({ "get": parked }));
    let of_aggregate = operation(
        "projections.parked.aggregate",
        "The parked events of one aggregate, with their content in the journal",
        &["projection", "type", "id", "parked_after", "limit"],
        &[400, 404, 500, 503, 504],
    );
    paths.insert(of_projection("/parked/{type}/{id}"), json!({ "get": of_aggregate }));
}

fn add_catalogue(paths: &mut Map<String, Value>) {
    let show = operation(
        "catalogue",
        "The event types, with schemas, versions, former names, and the projections that read them",
        &["of_type"],
        &[400, 404],
    );
    paths.insert("/admin/catalogue".to_owned(), json!({ "get": show }));
}

fn add_snapshots(paths: &mut Map<String, Value>) {
    let types = operation(
        "snapshots",
        "The aggregate types, each with the number of its aggregates that have snapshots",
        &[],
        &[400, 503, 504],
    );
    paths.insert("/admin/snapshots".to_owned(), json!({ "get": types }));
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
    paths.insert("/admin/snapshots/verify".to_owned(), json!({ "post": verify }));
}

fn add_cache(paths: &mut Map<String, Value>) {
    let stats =
        operation("cache", "What the cache of views holds, and how often it could answer", &["detailed"], &[400, 404]);
    paths.insert("/admin/cache".to_owned(), json!({ "get": stats }));
    let mut clear =
        operation("cache.clear", "Clear the cache of some views, or of all", &[], &[400, 403, 404, 408, 413]);
    let views = json!({"type": "object", "properties": {"views": {"type": "array", "items": {"type": "string"}}}});
    clear["requestBody"] = body(&views);
    paths.insert("/admin/cache/clear".to_owned(), json!({ "post": clear }));
}

fn add_config(paths: &mut Map<String, Value>) {
    let config = operation("config", "The server's configuration, and the keys that can be changed", &[], &[400, 504]);
    let mut change = operation(
        "config.change",
        "Change values until the server ends: all of them or none",
        &[],
        &[400, 403, 408, 413],
    );
    change["requestBody"] = body(&json!({"type": "object", "description": "Sections with keys, as in the file."}));
    paths.insert("/admin/config".to_owned(), json!({ "get": config, "patch": change }));
}

/// A path below the address of a projection.
fn of_projection(path: &str) -> String {
    format!("/admin/projections/{{name}}{path}")
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

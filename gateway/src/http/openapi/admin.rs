//! The paths of operators.

mod messaging;

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
    messaging::add(paths);
    add_catalogue(paths);
    add_snapshots(paths);
    add_cache(paths);
    add_webhooks(paths);
    add_config(paths);
    add_audit(paths);
    add_encryption(paths);
}

fn add_quarantine(paths: &mut Map<String, Value>) {
    let quarantined = operation("quarantine", "The aggregates that failed too often, with reasons", &[], &[400, 504]);
    paths.insert("/admin/quarantine".to_owned(), json!({ "get": quarantined }));
    let release =
        operation("release", "End the quarantine of an aggregate", &["type", "id"], &[400, 403, 404, 503, 504]);
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
        "The event types, with schemas, versions, former names, and the projections and listeners that read them",
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
        operation("cache.clear", "Clear the cache of some views, or of all", &[], &[400, 403, 404, 408, 413, 503]);
    let views = json!({"type": "object", "properties": {"views": {"type": "array", "items": {"type": "string"}}}});
    clear["requestBody"] = body(&views);
    paths.insert("/admin/cache/clear".to_owned(), json!({ "post": clear }));
}

fn add_webhooks(paths: &mut Map<String, Value>) {
    const CHANGE: [u16; 8] = [400, 403, 404, 408, 409, 413, 503, 504];
    let text = || json!({"type": "string"});
    let names = || json!({"type": "array", "items": {"type": "string"}});
    let filter = json!({
        "type": "object",
        "description": "Names of aggregate types and of events, as they are stored. Empty: all.",
        "properties": {"types": names(), "events": names()},
    });
    let shared = json!({
        "url": {"type": "string", "description": "The receiver: https://example.org/hook"},
        "filter": filter,
        "secret": {"type": "string", "description": "whsec_ and 24 to 64 bytes in base64."},
        "description": text(),
    });
    let with = |name: &str, schema: Value| {
        let mut properties = shared.clone();
        properties[name] = schema;
        properties
    };
    let all = operation("webhooks", "The webhooks: receivers of events, and which events they get", &[], &[400, 404]);
    let mut add = operation(
        "webhooks.add",
        "Add a webhook. The answer has its secret, which is not shown again",
        &[],
        &[400, 403, 404, 408, 409, 413, 500, 503, 504],
    );
    let begin = json!({"type": "string", "enum": ["now", "beginning"], "description": "Which events it gets: later \
        ones, or all."});
    add["requestBody"] = body(&json!({"type": "object", "required": ["url"], "properties": with("from", begin)}));
    let added = add["responses"]["200"].take();
    add["responses"]["201"] = added;
    if let Some(responses) = add["responses"].as_object_mut() {
        responses.remove("200");
    }
    paths.insert("/admin/webhooks".to_owned(), json!({ "get": all, "post": add }));
    let one = operation("webhooks.one", "A webhook", &["webhook"], &[400, 404]);
    let mut change = operation("webhooks.change", "Change a webhook: what is left out stays", &["webhook"], &CHANGE);
    let state = json!({"type": "string", "enum": ["enabled", "disabled"], "description": "While it is disabled it gets \
        nothing, and what it misses it does not get later."});
    change["requestBody"] = body(&json!({"type": "object", "properties": with("state", state)}));
    let remove = operation(
        "webhooks.remove",
        "Remove a webhook, with everything that waits to be delivered",
        &["webhook"],
        &CHANGE,
    );
    paths.insert("/admin/webhooks/{id}".to_owned(), json!({ "get": one, "patch": change, "delete": remove }));
    let deliveries = operation(
        "webhooks.deliveries",
        "The latest deliveries of a webhook since the start of the server, the newest first",
        &["webhook"],
        &[400, 404],
    );
    paths.insert("/admin/webhooks/{id}/deliveries".to_owned(), json!({ "get": deliveries }));
    let mut repeat = operation(
        "webhooks.repeat",
        "Deliver an event once more, now: one of the latest deliveries, or the one at a position",
        &["webhook", "event_id"],
        &[400, 403, 404, 408, 413, 500, 503, 504],
    );
    let position = json!({"type": "integer", "minimum": 1});
    repeat["requestBody"] = body(&json!({"type": "object", "properties": {"position": position}}));
    paths.insert("/admin/webhooks/{id}/deliveries/{event}/repeat".to_owned(), json!({ "post": repeat }));
}

fn add_config(paths: &mut Map<String, Value>) {
    let config = operation("config", "The server's configuration, and the keys that can be changed", &[], &[400, 504]);
    let mut change = operation(
        "config.change",
        "Change values until the server ends: all of them or none",
        &[],
        &[400, 403, 408, 413, 503],
    );
    change["requestBody"] = body(&json!({"type": "object", "description": "Sections with keys, as in the file."}));
    paths.insert("/admin/config".to_owned(), json!({ "get": config, "patch": change }));
    let permissions = operation("permissions", "Who may do what: each permission with its roles", &[], &[400, 504]);
    paths.insert("/admin/permissions".to_owned(), json!({ "get": permissions }));
}

fn add_audit(paths: &mut Map<String, Value>) {
    let entries = operation(
        "audit",
        "The entries of the audit log, the oldest first: who did what, from where, and what came of it",
        &["since", "of_subject", "listed", "after_entry"],
        &[400, 404, 500, 504],
    );
    paths.insert("/admin/audit".to_owned(), json!({ "get": entries }));
    let head = operation("audit.head", "The number and the hash of the last entry of the audit log", &[], &[400, 404]);
    paths.insert("/admin/audit/head".to_owned(), json!({ "get": head }));
}

fn add_encryption(paths: &mut Map<String, Value>) {
    let show = operation(
        "encryption",
        "How many data keys there are, and which wrapping keys they need",
        &[],
        &[400, 404, 503, 504],
    );
    paths.insert("/admin/encryption".to_owned(), json!({ "get": show }));
    let forget = operation(
        "subjects.forget",
        "Forget a person: destroy the key of all data about them",
        &["subject"],
        &[400, 403, 404, 503, 504],
    );
    paths.insert("/admin/subjects/{subject}/forget".to_owned(), json!({ "post": forget }));
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

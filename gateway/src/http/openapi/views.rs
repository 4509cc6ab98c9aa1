//! The paths of views.

use dormouse_projections::Kind;
use serde_json::{Map, Value, json};

use super::ViewDescription;
use super::paths::{headers, parameters, responses};

pub(super) const TAG: &str = "views";

/// The headers of a response of a view.
const HEADERS: [&str; 4] = ["ETag", "Dormouse-Position", "Cache-Control", "X-Request-Id"];

pub(super) fn add_view(described: &ViewDescription, paths: &mut Map<String, Value>) {
    let name = described.name;
    let item = json!({
        "type": "object",
        "required": ["key", "position", "document"],
        "properties": {
            "key": {"type": "string"},
            "position": {"type": "integer", "description": "The last event that changed the document."},
            "document": described.document,
        },
    });
    let mut asked = parameters(&[
        "sort",
        "page",
        "cursor",
        "fields",
        "total",
        "Dormouse-Min-Position",
        "Prefer",
        "If-None-Match",
        "X-Request-Id",
        "traceparent",
    ]);
    if let Value::Array(asked) = &mut asked {
        asked.splice(0..0, filters(described));
    }
    let list = json!({
        "operationId": format!("views.{name}.list"),
        "summary": format!("The documents of {name} that meet filters, page by page"),
        "tags": [TAG],
        "parameters": asked,
        "responses": read(json!({
            "type": "object",
            "required": ["items", "next", "position"],
            "properties": {
                "items": {"type": "array", "items": item, "description": "With `fields`, documents have only these \
                    fields."},
                "next": {"type": ["string", "null"], "description": "The address of the next page."},
                "total": {"type": "integer", "description": "The number of documents that meet the filters, if \
                    total=true."},
                "position": {"type": "integer", "description": "The position of the view."},
            },
        })),
    });
    paths.insert(format!("/v1/views/{name}"), json!({ "get": list }));
    let one = json!({
        "operationId": format!("views.{name}.get"),
        "summary": format!("A document of {name} by its key"),
        "tags": [TAG],
        "parameters": parameters(&["document", "Dormouse-Min-Position", "Prefer", "If-None-Match", "X-Request-Id",
                                   "traceparent"]),
        "responses": read(item),
    });
    paths.insert(format!("/v1/views/{name}/{{key}}"), json!({ "get": one }));
}

/// `GET /v1/views`
pub(super) fn overview() -> Value {
    let view = json!({
        "type": "object",
        "required": ["name", "version", "fields", "position", "state"],
        "properties": {
            "name": {"type": "string"},
            "version": {"type": "integer", "description": "The version of the projection's code."},
            "fields": {"type": "array", "items": {"type": "object", "properties": {
                "path": {"type": "string"},
                "kind": {"type": "string", "enum": ["text", "integer", "real", "boolean"]},
            }}},
            "position": {"type": "integer", "description": "The position of the view."},
            "state": {"type": "string",
                      "description": "starting, running, outdated, retrying, paused, stopped, dropped or ended."},
        },
    });
    let schema = json!({"type": "object", "properties": {"views": {"type": "array", "items": view}}});
    let success = json!({
        "description": "The views, and the fields by which lists of them can be filtered and sorted.",
        "content": {"application/json": {"schema": schema}},
    });
    json!({"get": {
        "operationId": "views",
        "summary": "The views of the application",
        "tags": [TAG],
        "responses": responses(success, &[400, 504]),
    }})
}

/// A parameter for each field that can be filtered by. Its description has the other tests: eight parameters for each
/// field would hide the rest.
fn filters(described: &ViewDescription) -> impl Iterator<Item = Value> {
    described.fields.iter().map(|field| {
        let path = field.path;
        json!({
            "name": format!("filter[{path}]"),
            "in": "query",
            "description": format!(
                "Only documents with this value. filter[{path}][test], with one of the tests ne, lt, lte, gt, gte, \
                 prefix (of text) and in (values separated by commas; a comma inside a value needs a backslash before \
                 it), compares in another way."
            ),
            "schema": {"type": json_type(field.kind)},
        })
    })
}

fn read(schema: Value) -> Value {
    let success = json!({
        "description": "The documents, and the position of the view.",
        "headers": headers(&HEADERS),
        "content": {"application/json": {"schema": schema}},
    });
    let mut responses = responses(success, &[400, 404, 409, 500, 503, 504]);
    responses["304"] = json!({"description": "The client has this content already.", "headers": headers(&HEADERS)});
    responses
}

const fn json_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "string",
        Kind::Integer => "integer",
        Kind::Real => "number",
        Kind::Boolean => "boolean",
    }
}

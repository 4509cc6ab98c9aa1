//! The paths of an application's own routes.

use serde_json::{Map, Value, json};

use super::RouteDescription;
use super::paths::{headers, parameters, responses};
use crate::http::schema::example;

/// The tag of routes.
pub(super) const TAG: (&str, &str) = ("application", "The application's own addresses.");

pub(super) fn add_route(described: &RouteDescription, components: &Map<String, Value>, paths: &mut Map<String, Value>) {
    let RouteDescription { method, address, summary, status, body, answer } = described;
    let words: Vec<_> = address.path().split(['/', '{', '}']).filter(|word| !word.is_empty()).collect();
    let mut names = vec!["Prefer", "Dormouse-Subject", "X-Request-Id", "X-Correlation-Id", "traceparent"];
    if body.is_some() {
        names.insert(0, "Idempotency-Key");
    }
    let mut all: Vec<Value> = address.names().map(path_parameter).collect();
    if let Value::Array(known) = parameters(&names) {
        all.extend(known);
    }
    let success = json!({
        "description": if *status == "201" { "What was created." } else { "The answer." },
        "headers": headers(&["Dormouse-Position", "Idempotency-Replayed", "X-Request-Id", "traceparent"]),
        "content": {"application/json": {"schema": answer}},
    });
    let mut responses = responses(success, &[400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503, 504, 507]);
    if let Value::Object(responses) = &mut responses
        && let Some(mut success) = responses.remove("200")
    {
        if *status == "201" {
            success["headers"]["Location"] =
                json!({"description": "The address of what was created.", "schema": {"type": "string"}});
        }
        responses.insert((*status).to_owned(), success);
    }
    let mut operation = json!({
        "operationId": format!("{method}.{}", words.join(".")),
        "summary": if summary.is_empty() { address.path() } else { summary },
        "tags": [TAG.0],
        "parameters": all,
        "responses": responses,
    });
    if let Some(schema) = body {
        let content = json!({"schema": schema, "example": example(schema, components)});
        operation["requestBody"] = json!({"required": true, "content": {"application/json": content}});
    }
    let path = paths.entry(address.path()).or_insert_with(|| json!({}));
    path[*method] = operation;
}

fn path_parameter(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}})
}

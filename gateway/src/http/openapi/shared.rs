//! Parts that many operations share: schemas, headers, problems.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{admin, views};
use crate::http::problem::{PROBLEM_TYPES, TYPE_PREFIX};

/// The name of the schema of problems. No application type has this name, because type names have no dots.
pub(super) const PROBLEM: &str = "Dormouse.Problem";

/// The name of the schema of an event's metadata.
pub(super) const METADATA: &str = "Dormouse.Metadata";

/// The tags that every application has, with their descriptions.
pub(super) const TAGS: [(&str, &str); 6] = [
    ("commands", "Many commands in one request."),
    (views::TAG, "Documents that projections derive from events."),
    ("log", "All events, in the order of their commits."),
    ("health", "The status of the server and its components."),
    ("server", "The server's own descriptions and metrics."),
    (admin::TAG, "Operations for operators."),
];

pub(super) fn schemas() -> Map<String, Value> {
    let types: Vec<Value> =
        PROBLEM_TYPES.iter().map(|problem_type| format!("{TYPE_PREFIX}{}", problem_type.slug).into()).collect();
    let problem = json!({
        "type": "object",
        "description": "A problem (RFC 9457).",
        "required": ["type", "title", "status", "detail", "request_id"],
        "properties": {
            "type": {"type": "string", "enum": types},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "request_id": {"type": "string", "description": "The request's id, as in the header X-Request-Id and in \
                the log."},
            "code": {"type": "string", "description": "The domain's code of the rejection."},
            "field": {"type": "string", "description": "The path of a wrong field: lines[0].quantity"},
            "parameter": {"type": "string", "description": "The name of a wrong query parameter."},
            "header": {"type": "string", "description": "The name of a wrong header."},
            "version": {"type": "integer", "description": "The version that the aggregate has."},
            "position": {"type": "integer", "description": "The position that the view, or the journal, has reached."},
            "wanted": {"type": "integer", "description": "The position that the request asks for."},
            "declared": {"type": "array", "items": {"type": "string"}, "description": "The fields that exist."},
            "retry_after": {"type": "integer", "description": "Seconds, as in the header Retry-After."},
        },
    });
    let text = |description: &str| json!({"type": "string", "description": description});
    let metadata = json!({
        "type": "object",
        "description": "The origin of an event.",
        "required": ["event_id"],
        "properties": {
            "event_id": {"type": "string", "format": "uuid", "description": "The event's unique id."},
            "correlation": text("The conversation that the event belongs to."),
            "causation": text("The message that directly caused the event."),
            "subject": text("The person or system on whose behalf the command was sent."),
            "tenant": text("The tenant for which the command was sent."),
            "traceparent": text("The W3C trace context of the request."),
            "command": {
                "type": "object",
                "description": "The command, on its first event only.",
                "required": ["name", "events", "reply"],
                "properties": {
                    "name": text("The command's name."),
                    "events": {"type": "integer", "description": "How many events the command made."},
                    "key": text("The command's Idempotency-Key."),
                    "reply": {"description": "The reply of the aggregate."},
                    "reply_error": text("Why the reply is shown as base64 text."),
                },
            },
        },
    });
    Map::from_iter([(PROBLEM.to_owned(), problem), (METADATA.to_owned(), metadata)])
}

pub(super) fn headers() -> Value {
    let header = |description| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "ETag": header("An opaque entity tag: of a version and its history, or of the content."),
        "Dormouse-Position": header("An opaque token: the position of the last event, or the position of the view."),
        "Cache-Control": header("What caches may do with the response."),
        "Location": header("The address of what becomes of the command."),
        "Preference-Applied": header("Which preferences of the header Prefer were followed."),
        "Idempotency-Replayed": header("true if an earlier request with the same key carried the command out."),
        "X-Request-Id": header("The request's id in logs."),
        "traceparent": header("W3C Trace Context."),
        "Retry-After": header("Seconds until a retry makes sense."),
    })
}

/// One response for each status that a problem can have.
pub(super) fn responses() -> Value {
    let mut responses = Map::new();
    // No operation has the response to a wrong method.
    for problem_type in
        PROBLEM_TYPES.iter().filter(|problem_type| problem_type.status != StatusCode::METHOD_NOT_ALLOWED)
    {
        let status = problem_type.status.as_str();
        let slugs = PROBLEM_TYPES.iter().filter(|other| other.status == problem_type.status).map(|other| other.slug);
        let schema = json!({"$ref": format!("#/components/schemas/{PROBLEM}")});
        let mut response = json!({
            "description": slugs.collect::<Vec<_>>().join(", "),
            "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
            "content": {"application/problem+json": {"schema": schema}},
        });
        if ["409", "429", "503", "507"].contains(&status) {
            response["headers"]["Retry-After"] = json!({"$ref": "#/components/headers/Retry-After"});
        }
        responses.insert(format!("Problem{status}"), response);
    }
    Value::Object(responses)
}

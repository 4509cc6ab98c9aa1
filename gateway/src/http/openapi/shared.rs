//! Parts that many operations share: parameters, headers, problems.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{admin, views};
use crate::http::problem::{KINDS, TYPE_PREFIX};

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

/// Names of types, projections and commands in addresses.
const NAME_PATTERN: &str = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$";

/// Ids have no slashes, no control characters, and are not the dot segments that URLs cannot carry.
const ID_PATTERN: &str = r"^(?!\.{1,2}$)[^/\u0000-\u001F\u007F-\u009F]+$";

/// Visible ASCII, as headers carry it.
const VISIBLE_PATTERN: &str = "^[!-~]+$";

/// The largest number that a store can hold.
const LARGEST: i64 = i64::MAX;

pub(super) fn schemas() -> Map<String, Value> {
    let types: Vec<Value> = KINDS.iter().map(|kind| format!("{TYPE_PREFIX}{}", kind.slug).into()).collect();
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

pub(super) fn parameters() -> Value {
    let header = |name, description| {
        let schema = json!({"type": "string"});
        json!({"name": name, "in": "header", "description": description, "schema": schema})
    };
    let visible = |name, description| {
        let schema = json!({"type": "string", "pattern": VISIBLE_PATTERN, "maxLength": 128});
        json!({"name": name, "in": "header", "description": description, "schema": schema})
    };
    let name = || json!({"type": "string", "pattern": NAME_PATTERN, "maxLength": 64});
    let number = || json!({"type": "integer", "minimum": 0, "maximum": LARGEST});
    // A number with or without the mark of its history, or the word.
    let token = |word: Option<&str>| {
        let word = word.map_or(String::new(), |word| format!("|{word}"));
        json!({"type": "string", "pattern": format!("^([0-9]+(-[0-9a-f]{{8}})?{word})$")})
    };
    let list = || json!({"type": "string", "pattern": "^[^,]+(,[^,]+)*$"});
    let query =
        |name, description, schema| json!({"name": name, "in": "query", "description": description, "schema": schema});
    json!({
        "id": {"name": "id", "in": "path", "required": true, "description": "The id of the aggregate.",
               "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": ID_PATTERN}},
        "key": {"name": "key", "in": "path", "required": true, "description": "The command's Idempotency-Key.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^(?!\.{1,2}$)[!-~]+$"}},
        "type": {"name": "type", "in": "path", "required": true, "description": "The aggregate \
            type.", "schema": name()},
        "component": {"name": "component", "in": "path", "required": true, "schema": {"type": "string",
                      "enum": ["aggregates", "cache", "database", "event-store", "projections", "runtime"]}},
        "projection": {"name": "name", "in": "path", "required": true, "description": "The name of the projection.",
                       "schema": name()},
        "detailed": query("detailed", "Show each view by itself, too.", json!({"type": "boolean"})),
        "parked_after": query("after", "Events after this position.", number()),
        "dry_run": query("dry_run", "Decide and answer, but change nothing.", json!({"type": "boolean"})),
        "version": query("version", "The state at this version.", number()),
        "at": query("at", "The state at this time.", json!({"type": "string", "format": "date-time"})),
        "after": query("after", "Events after this version, or after the message with this id.", token(None)),
        "after_position": query("after", "Events after this position, which may be a Dormouse-Position or the id of a \
                                          message; latest: new events only.", token(Some("latest"))),
        "type_filter": {"name": "type", "in": "query", "description": "Events of these aggregate types, separated by \
            commas.",
                        "schema": list()},
        "event": query("event", "Events of these types, separated by commas. A type has its current name and former \
                                 names. Events that are stored under a former name, or become such an event when they \
                                 are read, are included, and are shown as they were stored.", list()),
        "limit": query("limit", "Most events on the page.", json!({"type": "integer", "minimum": 1})),
        "document": {"name": "key", "in": "path", "required": true, "description": "The key of the document; write a \
            slash in it as %2F. URLs cannot carry the keys . and .. unchanged: write them with a tilde in front (~. \
            and ~..).",
                     "schema": {"type": "string", "minLength": 1, "maxLength": 1025, "pattern": r"^[^\u0000]+$"}},
        "sort": query("sort", "Declared fields separated by commas, the most important first. With a minus sign, the \
                               largest value comes first.", json!({"type": "string", "pattern": "^-?[^,]+(,-?[^,]+){0,2}$"})),
        "page": query("limit", "Most documents on the page.", json!({"type": "integer", "minimum": 1})),
        "cursor": query("cursor", "The start of the page, as in a response's `next`.", json!({"type": "string"})),
        "fields": query("fields", "Only these parts of each document, by their paths, separated by commas.",
                        list()),
        "total": query("total", "Count all documents that meet the filters.", json!({"type": "boolean"})),
        "Dormouse-Min-Position": header("Dormouse-Min-Position", "Wait until the view has reached this: the \
            Dormouse-Position of a command's response. A position of a lost history is refused (409)."),
        "Idempotency-Key": header("Idempotency-Key", "A repeated command with the same key and content gets the first \
                                                      outcome."),
        "If-Match": header("If-Match", "The required version: an entity tag of this server, a version in quotes \
                                        (\"18\"), or * for any."),
        "If-None-Match": header("If-None-Match", "For a command *: the aggregate must not exist yet. For a read the \
                                                  entity tags that the client has."),
        "Prefer": header("Prefer", "wait=N: the longest wait in seconds. A command that has not begun by then is \
                                    refused."),
        "Last-Event-ID": header("Last-Event-ID", "For streams: the id of the last message that the client got. The \
                                                  stream continues after it. It takes precedence over after. An id of \
                                                  a lost history is refused (409)."),
        "X-Request-Id": visible("X-Request-Id", "The request's id in responses and logs."),
        "X-Correlation-Id": visible("X-Correlation-Id", "The conversation that the events belong to."),
        "traceparent": header("traceparent", "W3C Trace Context."),
    })
}

pub(super) fn headers() -> Value {
    let header = |description| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "ETag": header("An opaque entity tag: of a version and its history, or of the content."),
        "Dormouse-Position": header("An opaque token: the position of the last event, or the position of the view."),
        "Cache-Control": header("What caches may do with the response."),
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
    for kind in KINDS.iter().filter(|kind| kind.status != StatusCode::METHOD_NOT_ALLOWED) {
        let status = kind.status.as_str();
        let slugs = KINDS.iter().filter(|other| other.status == kind.status).map(|other| other.slug);
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

//! What many operations share: parameters, headers, problems.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{admin, views};
use crate::http::problem::{KINDS, TYPE_PREFIX};

/// The schema of problems. No application type is called so: type names have no dots.
pub(super) const PROBLEM: &str = "Dormouse.Problem";

/// The schema of the metadata of events.
pub(super) const METADATA: &str = "Dormouse.Metadata";

/// Tags that are always there, and what they mean.
pub(super) const TAGS: [(&str, &str); 6] = [
    ("commands", "Many commands in one request."),
    (views::TAG, "Documents that projections make of events."),
    ("log", "All events, in the order of their commits."),
    ("health", "How the server and its parts do."),
    ("server", "The server's own descriptions and metrics."),
    (admin::TAG, "What operators do."),
];

/// Names of types, projections and commands in addresses.
const NAME_PATTERN: &str = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$";

/// Without slashes, control characters, and the dot segments that URLs cannot carry.
const ID_PATTERN: &str = r"^(?!\.{1,2}$)[^/\u0000-\u001F\u007F-\u009F]+$";

/// Visible ASCII, as headers carry it.
const VISIBLE_PATTERN: &str = "^[!-~]+$";

/// The largest number that a store can hold.
const LARGEST: i64 = i64::MAX;

pub(super) fn schemas() -> Map<String, Value> {
    let types: Vec<Value> = KINDS.iter().map(|kind| format!("{TYPE_PREFIX}{}", kind.slug).into()).collect();
    let problem = json!({
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "required": ["type", "title", "status", "detail", "request_id"],
        "properties": {
            "type": {"type": "string", "enum": types},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "request_id": {"type": "string", "description": "As in the header X-Request-Id and in the log."},
            "code": {"type": "string", "description": "The domain's code of a refusal."},
            "field": {"type": "string", "description": "The path of a wrong field: lines[0].quantity"},
            "parameter": {"type": "string", "description": "The name of a wrong query parameter."},
            "header": {"type": "string", "description": "The name of a wrong header."},
            "version": {"type": "integer", "description": "The version that the aggregate has."},
            "position": {"type": "integer", "description": "How far the view, or the journal, is."},
            "wanted": {"type": "integer", "description": "How far it should be."},
            "declared": {"type": "array", "items": {"type": "string"}, "description": "The fields there are."},
            "retry_after": {"type": "integer", "description": "Seconds, as in the header Retry-After."},
        },
    });
    let text = |description: &str| json!({"type": "string", "description": description});
    let metadata = json!({
        "type": "object",
        "description": "What is known of how an event came to be.",
        "required": ["event_id"],
        "properties": {
            "event_id": {"type": "string", "format": "uuid", "description": "What the event is called everywhere."},
            "correlation": text("The conversation it belongs to."),
            "causation": text("The message that directly caused it."),
            "subject": text("On whose behalf."),
            "tenant": text("For which tenant."),
            "traceparent": text("The W3C trace context of the request."),
            "command": {
                "type": "object",
                "description": "The command, on its first event only.",
                "required": ["name", "events", "reply"],
                "properties": {
                    "name": text("The command's name."),
                    "events": {"type": "integer", "description": "How many events it made."},
                    "key": text("Its Idempotency-Key."),
                    "reply": {"description": "What was answered."},
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
    // A number with or without the mark of its history, or a word.
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
        "type": {"name": "type", "in": "path", "required": true, "description": "The aggregate type.", "schema": name()},
        "component": {"name": "component", "in": "path", "required": true, "schema": {"type": "string",
                      "enum": ["aggregates", "cache", "database", "event-store", "projections", "runtime"]}},
        "projection": {"name": "name", "in": "path", "required": true, "description": "The name of the projection.",
                       "schema": name()},
        "detailed": query("detailed", "Each view by itself, too.", json!({"type": "boolean"})),
        "parked_after": query("after", "Events after this position.", number()),
        "dry_run": query("dry_run", "Decide and answer, but change nothing.", json!({"type": "boolean"})),
        "version": query("version", "The state at this version.", number()),
        "at": query("at", "The state at this time.", json!({"type": "string", "format": "date-time"})),
        "after": query("after", "Events after this version, or behind the message with this id.", token(None)),
        "after_position": query("after", "Events after this position, which may be a Dormouse-Position or the id of a \
                                          message; latest: those that come from now on.", token(Some("latest"))),
        "type_filter": {"name": "type", "in": "query", "description": "Events of these aggregate types, separated by commas.",
                        "schema": list()},
        "event": query("event", "Events of these types, separated by commas. A type is called by its name of today, or by \
                                  a former one. What is stored under a former name, or becomes such an event when it is read, \
                                  is among them, and is shown as it was stored.", list()),
        "limit": query("limit", "Most events on the page.", json!({"type": "integer", "minimum": 1})),
        "document": {"name": "key", "in": "path", "required": true, "description": "The key of the document; %2F for a slash in it. URLs cannot carry the keys . and .. as they are: put a tilde in front (~. and ~..).",
                     "schema": {"type": "string", "minLength": 1, "maxLength": 1025, "pattern": r"^[^\u0000]+$"}},
        "sort": query("sort", "Declared fields with commas between them, the most important first; with a minus sign, the \
                               largest first.", json!({"type": "string", "pattern": "^-?[^,]+(,-?[^,]+){0,2}$"})),
        "page": query("limit", "Most documents on the page.", json!({"type": "integer", "minimum": 1})),
        "cursor": query("cursor", "Where the page begins, as an answer's `next` has it.", json!({"type": "string"})),
        "fields": query("fields", "Only these parts of each document, by their paths, with commas between them.",
                        list()),
        "total": query("total", "Count all documents that meet the filters.", json!({"type": "boolean"})),
        "Dormouse-Min-Position": header("Dormouse-Min-Position", "Wait until the view has seen this: the Dormouse-Position of \
                                        a command's answer. One of a history that was lost is refused (409)."),
        "Idempotency-Key": header("Idempotency-Key", "Sent again with the same content, it gets the first answer again."),
        "If-Match": header("If-Match", "The version required: an entity tag as it came, a version in quotes (\"18\"), or * \
                                        for any."),
        "If-None-Match": header("If-None-Match", "For commands *: the aggregate must not exist yet. For what is read the \
                                                  entity tags that the client has."),
        "Prefer": header("Prefer", "wait=N: do not begin, or do not wait, after N seconds."),
        "Last-Event-ID": header("Last-Event-ID", "For streams: the id of the last message, behind which to go on. It is \
                                                  preferred to after. One of a history that was lost is refused (409)."),
        "X-Request-Id": visible("X-Request-Id", "What the request is called in answers and logs."),
        "X-Correlation-Id": visible("X-Correlation-Id", "The conversation that the events belong to."),
        "traceparent": header("traceparent", "W3C Trace Context."),
    })
}

pub(super) fn headers() -> Value {
    let header = |description| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "ETag": header("An opaque entity tag: of a version and its history, or of the answer."),
        "Dormouse-Position": header("An opaque token: where the last event stands, or how far the view was."),
        "Cache-Control": header("What caches may do with it."),
        "Idempotency-Replayed": header("true if this is the answer to an earlier command with the same key."),
        "X-Request-Id": header("What the request is called in logs."),
        "traceparent": header("W3C Trace Context."),
        "Retry-After": header("Seconds until a retry makes sense."),
    })
}

/// A response per status that problems have.
pub(super) fn responses() -> Value {
    let mut responses = Map::new();
    // The wrong method is no operation's answer.
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

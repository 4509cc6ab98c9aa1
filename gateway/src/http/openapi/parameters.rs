//! The parameters of operations, by the names that the paths use.

use serde_json::{Map, Value, json};

/// Names of types, projections and commands in addresses.
const NAME_PATTERN: &str = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$";

/// Names of listeners: a word, or a kind and a word.
const LISTENER_PATTERN: &str = "^[a-z0-9-]+(/[a-z0-9-]+)?$";

/// Ids have no slashes, no control characters, and are not the dot segments that URLs cannot carry.
const ID_PATTERN: &str = r"^(?!\.{1,2}$)[^/\u0000-\u001F\u007F-\u009F]+$";

/// Visible ASCII, as headers carry it.
const VISIBLE_PATTERN: &str = "^[!-~]+$";

/// The largest number that a store can hold.
const LARGEST: i64 = i64::MAX;

/// All parameters.
pub(super) fn all() -> Value {
    let mut parameters = Map::new();
    for group in [in_paths(), in_queries(), in_headers()] {
        if let Value::Object(group) = group {
            parameters.extend(group);
        }
    }
    Value::Object(parameters)
}

fn in_paths() -> Value {
    let name = || json!({"type": "string", "pattern": NAME_PATTERN, "maxLength": 64});
    json!({
        "id": {"name": "id", "in": "path", "required": true, "description": "The id of the aggregate.",
               "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": ID_PATTERN}},
        "key": {"name": "key", "in": "path", "required": true, "description": "The command's Idempotency-Key.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^(?!\.{1,2}$)[!-~]+$"}},
        "operation": {"name": "operation", "in": "path", "required": true, "description": "The id of the operation.",
                      "schema": {"type": "string", "format": "uuid"}},
        "type": {"name": "type", "in": "path", "required": true, "description": "The aggregate \
            type.", "schema": name()},
        "component": {"name": "component", "in": "path", "required": true, "schema": {"type": "string",
                      "enum": ["aggregates", "cache", "database", "event-store", "modules", "projections", "queues", "runtime"]}},
        "projection": {"name": "name", "in": "path", "required": true, "description": "The name of the projection.",
                       "schema": name()},
        "listener": {"name": "name", "in": "path", "required": true, "description": "The name of the listener; write \
            the slash in it as %2F: handler%2Freceipt.",
                     "schema": {"type": "string", "pattern": LISTENER_PATTERN, "maxLength": 96}},
        "failed_listener": {"name": "listener", "in": "path", "required": true, "description": "The name of the \
            listener; write the slash in it as %2F: handler%2Freceipt.",
                            "schema": {"type": "string", "pattern": LISTENER_PATTERN, "maxLength": 96}},
        "job": {"name": "id", "in": "path", "required": true, "description": "The id of the job, as in the list: the \
            position of its event, for timers with a part behind a dot.",
                "schema": {"type": "string", "pattern": r"^[0-9]{1,18}(\.[0-9]{1,18})?$"}},
        "webhook": {"name": "id", "in": "path", "required": true, "description": "The id of the webhook.",
                    "schema": {"type": "string", "format": "uuid"}},
        "subject": {"name": "subject", "in": "path", "required": true, "description": "The person, as the application \
            names them; write the slash in it as %2F: learner%2F42.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 512,
                               "pattern": r"^[^\u0000-\u001F\u007F-\u009F]+$"}},
        "event_id": {"name": "event", "in": "path", "required": true, "description": "The id of the event.",
                     "schema": {"type": "string", "format": "uuid"}},
        "document": {"name": "key", "in": "path", "required": true, "description": "The key of the document; write a \
            slash in it as %2F. URLs cannot carry the keys . and .. unchanged: write them with a tilde in front (~. \
            and ~..).",
                     "schema": {"type": "string", "minLength": 1, "maxLength": 1025, "pattern": r"^[^\u0000]+$"}},
    })
}

fn in_queries() -> Value {
    let query =
        |name, description, schema| json!({"name": name, "in": "query", "description": description, "schema": schema});
    let number = || json!({"type": "integer", "minimum": 0, "maximum": LARGEST});
    // A number with or without the mark of its history, or the word.
    let token = |word: Option<&str>| {
        let word = word.map_or(String::new(), |word| format!("|{word}"));
        json!({"type": "string", "pattern": format!("^([0-9]+(-[0-9a-f]{{8}})?{word})$")})
    };
    let list = || json!({"type": "string", "pattern": "^[^,]+(,[^,]+)*$"});
    json!({
        "detailed": query("detailed", "Show each view by itself, too.", json!({"type": "boolean"})),
        "of_type": query("type", "Only this aggregate type.",
                         json!({"type": "string", "pattern": NAME_PATTERN, "maxLength": 64})),
        "of_listener": query("listener", "Only the dead letters of this listener.",
                             json!({"type": "string", "pattern": LISTENER_PATTERN, "maxLength": 96})),
        "since": query("since", "Only entries of this time or later.", json!({"type": "string", "format": "date-time"})),
        "of_subject": query("subject", "Only entries of this caller.", json!({"type": "string", "maxLength": 512})),
        "after_entry": query("after", "Entries after the one with this number.", number()),
        "listed": query("limit", "Most entries on the page.", json!({"type": "integer", "minimum": 1})),
        "released": query("limit", "Most dead letters of this request, the oldest first.",
                          json!({"type": "integer", "minimum": 1, "maximum": 500})),
        "place": query("after", "The start of the page, as in a response's `next`.", json!({"type": "string"})),
        "parked_after": query("after", "Events after this position.", number()),
        "wait": query("wait", "Wait this long for the end, such as 10s; at most commands.timeout.",
                      json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"})),
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
        "sort": query("sort", "Declared fields separated by commas, the most important first. With a minus sign, the \
                               largest value comes first.", json!({"type": "string", "pattern": "^-?[^,]+(,-?[^,]+){0,2}$"})),
        "page": query("limit", "Most documents on the page.", json!({"type": "integer", "minimum": 1})),
        "cursor": query("cursor", "The start of the page, as in a response's `next`.", json!({"type": "string"})),
        "fields": query("fields", "Only these parts of each document, by their paths, separated by commas.",
                        list()),
        "total": query("total", "Count all documents that meet the filters.", json!({"type": "boolean"})),
    })
}

fn in_headers() -> Value {
    let header = |name, description| {
        let schema = json!({"type": "string"});
        json!({"name": name, "in": "header", "description": description, "schema": schema})
    };
    let visible = |name, description| {
        let schema = json!({"type": "string", "pattern": VISIBLE_PATTERN, "maxLength": 128});
        json!({"name": name, "in": "header", "description": description, "schema": schema})
    };
    json!({
        "Dormouse-Min-Position": header("Dormouse-Min-Position", "Wait until the view has reached this: the \
            Dormouse-Position of a command's response. A position of a lost history is refused (409)."),
        "Idempotency-Key": header("Idempotency-Key", "A repeated command with the same key and content gets the first \
                                                      outcome."),
        "If-Match": header("If-Match", "The required version: an entity tag of this server, a version in quotes \
                                        (\"18\"), or * for any."),
        "If-None-Match": header("If-None-Match", "For a command *: the aggregate must not exist yet. For a read the \
                                                  entity tags that the client has."),
        "Prefer": header("Prefer", "wait=N: the longest wait in seconds. A command that has not begun by then is \
                                    refused. respond-async: answer with 202 and the address of \
                                    the outcome once the command is durable, or with the outcome if it is there \
                                    within wait."),
        "Last-Event-ID": header("Last-Event-ID", "For streams: the id of the last message that the client got. The \
                                                  stream continues after it. It takes precedence over after. An id of \
                                                  a lost history is refused (409)."),
        "Dormouse-Subject": visible("Dormouse-Subject", "On whose behalf the command is sent. Only clients on the \
            server's own machine may send it, and not through a proxy (403)."),
        "X-Request-Id": visible("X-Request-Id", "The request's id in responses and logs."),
        "X-Correlation-Id": visible("X-Correlation-Id", "The conversation that the events belong to."),
        "traceparent": header("traceparent", "W3C Trace Context."),
    })
}

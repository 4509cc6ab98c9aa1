//! The paths of the document: those of each aggregate type, and those that every application has.

use serde_json::{Map, Value, json};

use super::{AggregateDescription, admin, shared, views};
use crate::http::bulk;
use crate::http::schema::example;

/// The description of a stream of events.
const STREAM: &str = "Each message has an id, and as its data an event as on pages. No message has a name, so that \
                      EventSource delivers all of them to onmessage. A message with only an id tells how far the log \
                      was read. An id beyond the end of the log is refused (409): it belongs to another journal.";

/// Statuses of problems that any request can get before it is routed.
const ALWAYS: [u16; 3] = [414, 421, 431];

/// Adds the paths of an aggregate type.
pub(super) fn add_aggregate(
    described: &AggregateDescription,
    components: &Map<String, Value>,
    paths: &mut Map<String, Value>,
) {
    let name = described.name;
    for (segment, fields) in &described.commands {
        let command = command(described, segment, fields, components);
        paths.insert(format!("/v1/{name}/{{id}}/{segment}"), json!({ "post": command }));
    }
    paths.insert(format!("/v1/{name}/{{id}}"), json!({ "get": state(described) }));
    paths.insert(format!("/v1/{name}/{{id}}/events"), json!({ "get": history(described) }));
    paths.insert(format!("/v1/commands/{name}/{{id}}/{{key}}"), json!({ "get": earlier_outcome(described) }));
}

/// Adds the paths that every application has.
pub(super) fn add_common(paths: &mut Map<String, Value>) {
    paths.insert("/v1/events".to_owned(), json!({ "get": log() }));
    paths.insert(bulk::PATH.to_owned(), json!({ "post": many_commands() }));
    paths.insert("/v1/operations/{operation}".to_owned(), json!({ "get": operation() }));
    paths.insert("/v1/views".to_owned(), views::overview());
    paths.insert("/v1/auth/telegram".to_owned(), json!({ "post": telegram() }));
    add_health(paths);
    admin::add(paths);
    let text = |id: &str, summary: &str, media_type: &str| {
        let content = json!({ media_type: {"schema": {"type": "string"}} });
        json!({"get": {
            "operationId": id,
            "summary": summary,
            "tags": ["server"],
            "responses": responses(json!({"description": "The text.", "content": content}), &[]),
        }})
    };
    paths.insert("/metrics".to_owned(), text("metrics", "Metrics in the format of Prometheus", "text/plain"));
    paths.insert("/docs".to_owned(), text("docs", "This description as a page for people", "text/html"));
    paths.insert("/openapi.json".to_owned(), text("openapi", "This description", "application/json"));
}

fn command(described: &AggregateDescription, segment: &str, fields: &Value, components: &Map<String, Value>) -> Value {
    let name = described.name;
    let is_needed = fields["type"] != "object" || fields["required"].get(0).is_some();
    let body = json!({"schema": fields, "example": example(fields, components)});
    let mut command = json!({
        "operationId": format!("{name}.{segment}"),
        "summary": format!("{segment} ({name})"),
        "tags": [name],
        "parameters": parameters(&["id", "dry_run", "Idempotency-Key", "If-Match", "If-None-Match", "Prefer",
                                   "Dormouse-Subject", "X-Request-Id", "X-Correlation-Id", "traceparent"]),
        "requestBody": {"required": is_needed, "content": {"application/json": body}},
        "responses": responses(
            json!({
                "description": "The durable outcome of the command.",
                "headers": headers(&["ETag", "Dormouse-Position", "Idempotency-Replayed", "Preference-Applied",
                                     "X-Request-Id", "traceparent"]),
                "content": {"application/json": {"schema": outcome(described)}},
            }),
            &[400, 403, 404, 408, 409, 412, 413, 415, 422, 429, 500, 503, 504, 507],
        ),
    });
    command["responses"]["202"] = json!({
        "description": "The command is durable and will be carried out: the answer to Prefer: respond-async, and to each \
                        command that does not wait if commands.mode is async.",
        "headers": headers(&["Location", "Preference-Applied", "Idempotency-Replayed", "X-Request-Id", "traceparent"]),
        "content": {"application/json": {"schema": {
            "type": "object",
            "required": ["operation", "location"],
            "properties": {
                "operation": {"type": "string", "format": "uuid"},
                "location": {"type": "string", "description": "The address of what becomes of the command."},
            },
        }}},
    });
    if let Some(description) = fields.get("description") {
        command["description"] = description.clone();
    }
    command
}

fn state(described: &AggregateDescription) -> Value {
    let name = described.name;
    let mut state = json!({
        "operationId": format!("{name}.state"),
        "summary": format!("The state of one {name}, now or in the past"),
        "tags": [name],
        "parameters": parameters(&["id", "version", "at", "If-None-Match", "X-Request-Id", "traceparent"]),
        "responses": responses(
            json!({
                "description": "The state.",
                "headers": headers(&["ETag", "X-Request-Id"]),
                "content": {"application/json": {"schema": {
                    "type": "object",
                    "required": ["aggregate", "id", "version", "recorded_at", "state"],
                    "properties": {
                        "aggregate": one_text(name),
                        "id": {"type": "string"},
                        "version": {"type": "integer"},
                        "recorded_at": {"type": "string", "format": "date-time"},
                        "state": described.state,
                    },
                }}},
            }),
            &[400, 404, 429, 500, 503, 504],
        ),
    });
    state["responses"]["304"] = json!({"description": "The client has this content already."});
    state
}

fn history(described: &AggregateDescription) -> Value {
    let name = described.name;
    json!({
        "operationId": format!("{name}.events"),
        "summary": format!("The stored events of one {name}"),
        "description": format!("With Accept: text/event-stream, a stream that continues with new events. {STREAM} The \
                                id is the event's version. The filter event works on streams only; it takes names \
                                separated by commas."),
        "tags": [name],
        "parameters": parameters(&["id", "after", "limit", "event", "Last-Event-ID", "X-Request-Id", "traceparent"]),
        "responses": responses(
            json!({
                "description": "A page of events, or a stream of them.",
                "headers": headers(&["X-Request-Id"]),
                "content": {
                    "application/json": {"schema": page(described)},
                    "text/event-stream": {"schema": {"type": "string"}},
                },
            }),
            &[400, 404, 409, 500, 503, 504],
        ),
    })
}

fn earlier_outcome(described: &AggregateDescription) -> Value {
    let name = described.name;
    json!({
        "operationId": format!("{name}.outcome"),
        "summary": "The outcome of an earlier command, by its key",
        "tags": [name],
        "parameters": parameters(&["id", "key", "X-Request-Id", "traceparent"]),
        "responses": responses(
            json!({
                "description": "The outcome of the command.",
                "headers": headers(&["Dormouse-Position", "X-Request-Id"]),
                "content": {"application/json": {"schema": outcome(described)}},
            }),
            &[400, 404, 500, 503, 504],
        ),
    })
}

fn log() -> Value {
    json!({
        "operationId": "events",
        "summary": "The events of all aggregates, in the order of their commits",
        "description": format!("With Accept: text/event-stream, a stream that continues with new events. {STREAM} The \
                                id is the event's position."),
        "tags": ["log"],
        "parameters": parameters(&["after_position", "limit", "type_filter", "event", "Last-Event-ID", "X-Request-Id",
                                   "traceparent"]),
        "responses": responses(
            json!({
                "description": "A page of events, or a stream of them. With filters, a page may be empty although it \
                                is not the last: only next tells.",
                "headers": headers(&["X-Request-Id"]),
                "content": {
                    "application/json": {"schema": {
                        "type": "object",
                        "required": ["events", "next", "position"],
                        "properties": {
                            "events": {"type": "array", "items": event("The name under which the event was stored.")},
                            "next": {"type": ["string", "null"], "description": "The address of the next page."},
                            "position": {"type": "integer", "description": "How far the log was read: later events \
                                have higher positions."},
                        },
                    }},
                    "text/event-stream": {"schema": {"type": "string"}},
                },
            }),
            &[400, 404, 409, 500, 503, 504],
        ),
    })
}

fn add_health(paths: &mut Map<String, Value>) {
    let health = |id: &str, summary: &str, path: &[&str]| {
        let shown = json!({"application/json": {"schema": {"type": "object"}}});
        json!({"get": {
            "operationId": id,
            "summary": summary,
            "tags": ["health"],
            "parameters": parameters(path),
            "responses": {
                "200": {"description": "ok or degraded", "content": shown},
                "421": problem(421),
                "503": {"description": "down", "content": shown},
            },
        }})
    };
    paths.insert("/health".to_owned(), health("health", "The status of all components", &[]));
    paths.insert("/health/live".to_owned(), health("health.live", "Whether the process lives", &[]));
    let mut ready = health("health.ready", "Whether clients may send requests to this node", &[]);
    ready["get"]["responses"]["200"]["description"] = "ok".into();
    ready["get"]["responses"]["503"]["description"] = "leaving, draining or down".into();
    paths.insert("/health/ready".to_owned(), ready);
    let mut component = health("health.component", "The status of one component", &["component"]);
    component["get"]["responses"]["404"] = problem(404);
    paths.insert("/health/{component}".to_owned(), component);
}

fn many_commands() -> Value {
    const EXAMPLE: &str = "{\"type\":\"inventory\",\"id\":\"SKU-1\",\"command\":\"update-inventory\",\
                           \"body\":{\"change\":5,\"reason\":\"delivery\"},\"key\":\"d-1\"}\n";
    let lines = json!({"application/x-ndjson": {"schema": {"type": "string"}, "example": EXAMPLE}});
    json!({
        "operationId": "commands",
        "summary": "Many commands in one request, each a line of JSON",
        "description": "A line has type, id and command, and may have body (the command's fields), key and \
                        expected_version (0: the aggregate must not exist). The response has one line for each line \
                        of the request, in the same order: its number as line, its key, its status, and either \
                        outcome (the body of the response to the command alone) with its etag, or problem. Commands \
                        of one aggregate are carried out in the order of their lines. A line that is refused does not \
                        end the request. A line that may be sent again (409, 429, 503, 504, 507) holds back the later \
                        lines of its aggregate. A last line without a number says why no more lines were read. Read \
                        the response while you send: the server reads no more from a client that reads nothing.",
        "tags": ["commands"],
        "parameters": parameters(&["dry_run", "Prefer", "Dormouse-Subject", "X-Request-Id", "X-Correlation-Id",
                                   "traceparent"]),
        "requestBody": {"required": true, "content": lines},
        "responses": responses(
            json!({
                "description": "One line for each line of the request.",
                "headers": headers(&["X-Request-Id", "traceparent"]),
                "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
            }),
            &[400, 403, 415, 503],
        ),
    })
}

fn telegram() -> Value {
    let text = json!({"type": "string"});
    let body = json!({"type": "object", "required": ["init_data"], "properties": {"init_data": text}});
    let token = json!({
        "type": "object",
        "required": ["token", "token_type", "expires_in", "subject"],
        "properties": {
            "token": text,
            "token_type": one_text("Bearer"),
            "expires_in": {"type": "integer", "description": "Seconds for which the token counts."},
            "subject": text,
        },
    });
    json!({
        "operationId": "auth.telegram",
        "summary": "A token for the user of a Telegram Web App",
        "description": "init_data is what Telegram tells the Web App: window.Telegram.WebApp.initData. 404: the server \
                        serves no Telegram bot.",
        "tags": ["server"],
        "requestBody": {"required": true, "content": {"application/json": {"schema": body}}},
        "responses": responses(
            json!({"description": "The token.", "content": {"application/json": {"schema": token}}}),
            &[400, 401, 403, 404, 408, 413, 415, 500, 504],
        ),
    })
}

fn operation() -> Value {
    json!({
        "operationId": "operation",
        "summary": "What became of an asynchronous command",
        "tags": ["commands"],
        "parameters": parameters(&["operation", "wait", "X-Request-Id", "traceparent"]),
        "responses": responses(
            json!({
                "description": "The operation. With wait, it has ended or the time has passed.",
                "headers": headers(&["Dormouse-Position", "X-Request-Id"]),
                "content": {"application/json": {"schema": {
                    "type": "object",
                    "required": ["operation", "status", "since", "aggregate", "id", "command"],
                    "properties": {
                        "operation": {"type": "string", "format": "uuid"},
                        "status": {"type": "string", "enum": ["pending", "succeeded", "refused", "dead"], "description":
                            "dead: each attempt has failed, and an operator can have the command attempted again."},
                        "since": {"type": "string", "format": "date-time", "description": "When it got this status."},
                        "aggregate": {"type": "string"},
                        "id": {"type": "string"},
                        "command": {"type": "string"},
                        "outcome": {"type": "object", "description": "If it succeeded: the body of the response to the \
                            command without respond-async."},
                        "etag": {"type": "string", "description": "If it succeeded: the ETag of that response."},
                        "problem": {"$ref": format!("#/components/schemas/{}", shared::PROBLEM)},
                        "reason": {"type": "string", "description": "If it is dead: why the last attempt failed."},
                    },
                }}},
            }),
            &[400, 404, 429, 500, 503, 504],
        ),
    })
}

fn outcome(described: &AggregateDescription) -> Value {
    json!({
        "type": "object",
        "required": ["aggregate", "id", "version", "position", "events", "reply"],
        "properties": {
            "aggregate": one_text(described.name),
            "id": {"type": "string"},
            "version": {"type": "integer", "description": "The version after the command."},
            "position": {"type": ["integer", "null"], "description": "The position of its last event; null for a dry \
                run."},
            "events": {"type": "array", "items": {
                "type": "object",
                "required": ["type", "version"],
                "properties": {"type": {"type": "string", "enum": described.events}, "version": {"type": "integer"}},
            }},
            "reply": described.reply,
        },
    })
}

fn page(described: &AggregateDescription) -> Value {
    json!({
        "type": "object",
        "required": ["events", "next"],
        "properties": {
            "events": {"type": "array", "items": event(&format!("Current names: {}", described.events.join(", ")))},
            "next": {"type": ["string", "null"], "description": "The address of the next page."},
        },
    })
}

/// The schema of an event, on a page or in a message.
fn event(types: &str) -> Value {
    json!({
        "type": "object",
        "required": ["aggregate", "id", "version", "position", "type", "schema_version", "recorded_at", "data", "metadata"],
        "properties": {
            "aggregate": {"type": "string"},
            "id": {"type": "string"},
            "version": {"type": "integer"},
            "position": {"type": "integer"},
            "type": {"type": "string", "description": types},
            "schema_version": {"type": "integer"},
            "recorded_at": {"type": "string", "format": "date-time"},
            "data": {"description": "The payload as it was written. Bytes are base64 text."},
            "metadata": {"$ref": format!("#/components/schemas/{}", shared::METADATA)},
        },
    })
}

fn one_text(text: &str) -> Value {
    json!({"type": "string", "enum": [text]})
}

pub(super) fn parameters(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"$ref": format!("#/components/parameters/{name}")})).collect()
}

pub(super) fn headers(names: &[&str]) -> Value {
    let reference = |name: &&str| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    Value::Object(names.iter().map(reference).collect())
}

pub(super) fn responses(success: Value, problems: &[u16]) -> Value {
    let mut responses = Map::from_iter([("200".to_owned(), success)]);
    responses.extend(problems.iter().chain(&ALWAYS).map(|status| (status.to_string(), problem(*status))));
    Value::Object(responses)
}

pub(super) fn problem(status: u16) -> Value {
    json!({"$ref": format!("#/components/responses/Problem{status}")})
}

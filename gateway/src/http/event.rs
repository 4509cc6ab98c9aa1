//! Stored events as JSON, for people and for clients.

use std::iter::once;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dormouse_kernel::{CodecError, Metadata, NewEvent, Position, RecordedEvent, decode};
use serde_json::{Map, Value, json};

use super::budget::Share;
use super::chunks;
use super::messagepack::Json;

/// A stored event: its aggregate, its version and position, its type, its payload as it was written (not upcast), and
/// its metadata.
///
/// What JSON does not have is converted: bytes become base64 text, and keys that are not text become text. A payload or
/// metadata that cannot be read becomes base64 text as a whole, and a second field has the error.
pub(crate) fn event_json(recorded: &RecordedEvent) -> Value {
    let event = &recorded.event;
    let mut shown = json!({
        "aggregate": recorded.aggregate.aggregate_type.as_str(),
        "id": recorded.aggregate.id.as_str(),
        "version": recorded.version,
        "position": recorded.position,
        "type": event.event_type,
        "schema_version": event.schema_version,
        "recorded_at": event.recorded_at,
    });
    put(&mut shown, "data", &event.payload, json_of(&event.payload));
    put(&mut shown, "metadata", &event.metadata, recorded.metadata().map(|metadata| metadata_json(recorded, metadata)));
    shown
}

/// A page of events. Each event is encoded when the client takes it, because events take many times the memory as JSON.
pub(super) async fn events_page(
    events: Vec<RecordedEvent>,
    next: Option<String>,
    position: Option<Position>,
    share: Share,
) -> Response {
    let mut end = format!(r#"],"next":{}"#, Value::from(next));
    if let Some(position) = position {
        end.push_str(&format!(r#","position":{position}"#));
    }
    end.push('}');
    let events = events.into_iter().enumerate().map(|(number, event)| {
        let mut text = if number > 0 { vec![b','] } else { Vec::new() };
        text.extend_from_slice(event_json(&event).to_string().as_bytes());
        text
    });
    let parts = once(br#"{"events":["#.to_vec()).chain(events).chain(once(end.into_bytes()));
    chunks::json(parts, Some(share)).await
}

fn put(shown: &mut Value, name: &'static str, bytes: &[u8], decoded: Result<Value, CodecError>) {
    match decoded {
        Ok(value) => shown[name] = value,
        Err(error) => {
            shown[name] = STANDARD.encode(bytes).into();
            shown[format!("{name}_error")] = error.to_string().into();
        }
    }
}

fn metadata_json(recorded: &RecordedEvent, metadata: Metadata) -> Value {
    let mut shown = Map::from_iter([("event_id".to_owned(), json!(metadata.event_id))]);
    let texts = [
        ("correlation", metadata.correlation),
        ("causation", metadata.causation),
        ("subject", metadata.subject),
        ("tenant", metadata.tenant),
        ("traceparent", metadata.traceparent),
    ];
    shown.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into()))));
    if let Some(command) = metadata.command {
        let mut shown_command = json!({ "name": command.name, "events": command.events });
        if let Some(key) = &recorded.command_key {
            shown_command["key"] = key.as_str().into();
        }
        put(&mut shown_command, "reply", &command.reply, json_of(&command.reply));
        shown.insert("command".to_owned(), shown_command);
    }
    Value::Object(shown)
}

/// The payload of a stored event, as it was written (not upcast).
///
/// # Errors
/// If it is damaged.
pub(crate) fn payload_json(event: &NewEvent) -> Result<Value, CodecError> {
    json_of(&event.payload)
}

fn json_of(bytes: &[u8]) -> Result<Value, CodecError> {
    decode::<Json>(bytes).map(|Json(value)| value)
}

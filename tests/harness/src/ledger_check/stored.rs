//! What the server returns for one aggregate.

use serde_json::Value;

/// History and state of an aggregate.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    pub(super) events: Vec<Event>,
    pub(super) version: u64,
    /// Null if the aggregate does not exist.
    pub(super) state: Value,
}

#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) position: u64,
    pub(super) kind: String,
    pub(super) data: Value,
    /// The command, if this is its first event.
    pub(super) command: Option<Command>,
}

#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) key: String,
    /// The number of its events.
    pub(super) events: u64,
}

impl Event {
    /// `None` if the value is not an event.
    pub(super) fn read(mut event: Value) -> Option<Self> {
        let command = &event["metadata"]["command"];
        let command = command["key"]
            .as_str()
            .map(|key| Command { key: key.to_owned(), events: command["events"].as_u64().unwrap_or(1) });
        Some(Self {
            version: event["version"].as_u64()?,
            position: event["position"].as_u64()?,
            kind: event["type"].as_str()?.to_owned(),
            data: event["data"].take(),
            command,
        })
    }
}

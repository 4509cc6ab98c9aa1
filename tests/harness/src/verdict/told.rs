//! What the server tells about one aggregate, read from outside.

use std::time::Duration;

use serde_json::Value;

use crate::{Answer, Client};

/// Events in one page: the most that the server gives.
const PAGE: usize = 1000;

/// A server that has just come back may be busy; then it is asked again.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// History and state of an aggregate.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) events: Vec<Event>,
    pub(super) version: u64,
    /// Null if there is none.
    pub(super) state: Value,
}

#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) position: u64,
    pub(super) kind: String,
    pub(super) data: Value,
    /// Of the command that began with this event.
    pub(super) command: Option<Command>,
}

#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) key: String,
    /// How many events it made.
    pub(super) events: u64,
}

/// Asks for everything; `Err` is what the server said instead.
pub(super) fn ask(client: &Client, aggregate: &str) -> Result<Told, String> {
    let (version, state) = state(client, aggregate)?;
    let mut told = Told { events: Vec::new(), version, state };
    let mut next = Some(format!("/v1/{aggregate}/events?limit={PAGE}"));
    while let Some(path) = next {
        let Some(mut page) = get(client, &path)? else { break };
        next = page["next"].as_str().map(str::to_owned);
        let Value::Array(events) = page["events"].take() else { return Err("a page without events".to_owned()) };
        for event in events {
            let seen = event.to_string();
            told.events.push(Event::read(event).ok_or_else(|| format!("this is no event: {seen}"))?);
        }
    }
    Ok(told)
}

/// Asks for the version alone.
pub(super) fn version(client: &Client, aggregate: &str) -> Result<u64, String> {
    state(client, aggregate).map(|(version, _)| version)
}

/// The version and the state; zero and null if there is none.
fn state(client: &Client, aggregate: &str) -> Result<(u64, Value), String> {
    let Some(mut shown) = get(client, &format!("/v1/{aggregate}"))? else { return Ok((0, Value::Null)) };
    let version = shown["version"].as_u64().ok_or("a state without a version")?;
    Ok((version, shown["state"].take()))
}

/// `None` if it is not there.
fn get(client: &Client, path: &str) -> Result<Option<Value>, String> {
    let mut answer = client.get(path);
    for _ in 1..ATTEMPTS {
        if !matches!(&answer, Err(_) | Ok(Answer { status: 429 | 503, .. })) {
            break;
        }
        std::thread::sleep(PAUSE);
        answer = client.get(path);
    }
    match answer {
        Ok(answer) if answer.status == 200 => Ok(Some(answer.json())),
        Ok(answer) if answer.status == 404 => Ok(None),
        Ok(answer) => Err(format!("{path}: {answer}")),
        Err(error) => Err(format!("{path}: {error}")),
    }
}

impl Event {
    fn read(mut event: Value) -> Option<Self> {
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

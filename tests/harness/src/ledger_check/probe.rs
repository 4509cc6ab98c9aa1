//! Requests to the server through its public API.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::stored::{Event, Stored};
use crate::{Answer, Client, Entry, Outcome};

/// A server that has just started may be busy. Then a request is repeated after a pause. This is the maximum number of
/// pauses; after that, the answer counts.
const PAUSES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// Events in one page: the server's maximum.
const PAGE: usize = 1000;

/// The requests of one check.
#[derive(Debug)]
pub(super) struct Probe<'a> {
    client: &'a Client,
    pauses: AtomicU32,
}

impl<'a> Probe<'a> {
    pub(super) fn of(client: &'a Client) -> Self {
        Self { client, pauses: AtomicU32::new(0) }
    }

    /// History and state of an aggregate; `Err` describes the unexpected answer.
    pub(super) fn read(&self, aggregate: &str) -> Result<Stored, String> {
        let (version, state) = self.state(aggregate)?;
        let mut stored = Stored { events: Vec::new(), version, state };
        let mut next = Some(format!("/v1/{aggregate}/events?limit={PAGE}"));
        while let Some(path) = next {
            let Some(mut page) = self.get(&path)? else { break };
            next = page["next"].as_str().map(str::to_owned);
            let Value::Array(events) = page["events"].take() else { return Err(format!("{path}: no events")) };
            for event in events {
                stored.events.push(Event::read(event).ok_or_else(|| format!("{path}: something is no event"))?);
            }
        }
        Ok(stored)
    }

    /// The version alone.
    pub(super) fn version(&self, aggregate: &str) -> Result<u64, String> {
        self.state(aggregate).map(|(version, _)| version)
    }

    /// Sends a command again, with its key.
    pub(super) fn resend(&self, entry: &Entry) -> Outcome {
        let path = entry.command["path"].as_str().expect("a command in a ledger has a path");
        let body = &entry.command["body"];
        loop {
            let outcome = Outcome::from(&self.client.post_with(path, &[("Idempotency-Key", &entry.key)], body));
            if outcome != Outcome::Unknown || !self.pause() {
                return outcome;
            }
        }
    }

    /// Version and state; zero and null if the aggregate does not exist.
    fn state(&self, aggregate: &str) -> Result<(u64, Value), String> {
        let Some(mut shown) = self.get(&format!("/v1/{aggregate}"))? else { return Ok((0, Value::Null)) };
        let version = shown["version"].as_u64().ok_or("a state without a version")?;
        Ok((version, shown["state"].take()))
    }

    /// `None` if the answer is 404.
    fn get(&self, path: &str) -> Result<Option<Value>, String> {
        loop {
            match self.client.get(path) {
                Err(_) | Ok(Answer { status: 429 | 503, .. }) if self.pause() => {}
                Ok(answer) if answer.status == 200 => return Ok(Some(answer.json())),
                Ok(answer) if answer.status == 404 => return Ok(None),
                Ok(answer) => return Err(format!("{path}: {answer}")),
                Err(error) => return Err(format!("{path}: {error}")),
            }
        }
    }

    /// Waits, and returns false if there were enough pauses.
    fn pause(&self) -> bool {
        let patient = self.pauses.fetch_add(1, Ordering::Relaxed) < PAUSES;
        if patient {
            sleep(PAUSE);
        }
        patient
    }
}

//! The log, read page by page through the public API.

use serde_json::Value;

use crate::Client;

/// Events in one page: the server's maximum.
const PAGE: usize = 1000;

/// All events in the order of the commits.
#[derive(Debug, Clone, Default)]
pub struct Log {
    events: Vec<Value>,
}

impl Log {
    /// Reads the log to its end. Events that are written meanwhile may be missing.
    ///
    /// # Panics
    /// When the server returns an error, or a position is missing.
    #[must_use]
    #[track_caller]
    pub fn read(client: &Client) -> Self {
        let mut log = Self::default();
        log.read_on(client);
        log
    }

    /// Reads the events that were added since.
    ///
    /// # Panics
    /// When the server returns an error, or a position is missing.
    #[track_caller]
    pub fn read_on(&mut self, client: &Client) {
        let mut next = Some(format!("/v1/events?after={}&limit={PAGE}", self.head()));
        while let Some(path) = next {
            let answer = client.get(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(answer.status, 200, "{path}: {answer}");
            let mut page = answer.json();
            let Value::Array(events) = page["events"].take() else { panic!("{path}: no events") };
            for event in events {
                assert_eq!(event["position"].as_u64(), Some(self.head() + 1), "{path} leaves out an event");
                self.events.push(event);
            }
            next = page["next"].as_str().map(str::to_owned);
        }
    }

    /// The position of the last event; zero if there is none.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.events.len() as u64
    }

    /// All events.
    #[must_use]
    pub fn events(&self) -> &[Value] {
        &self.events
    }

    /// The events after one position, up to and including another.
    pub(super) fn between(&self, after: u64, to: u64) -> &[Value] {
        assert!(to <= self.head(), "the log ends at {}, before {to}", self.head());
        &self.events[(after as usize).min(to as usize)..to as usize]
    }
}

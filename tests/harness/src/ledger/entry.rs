//! The records of a ledger.

use std::time::Duration;

use serde_json::Value;

use crate::{Answer, NoAnswer};

/// One attempt. Entries are in the order in which attempts were invoked.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// `type/id`, or any other name that the test uses.
    pub aggregate: String,
    /// The idempotency key.
    pub key: String,
    /// The command as it was sent.
    pub command: Value,
    /// The time before the first byte was sent.
    pub invoked: Duration,
    /// The time after the last byte of the answer; `None` while there is no answer.
    pub answered: Option<Duration>,
    /// `Unknown` until an answer is recorded.
    pub outcome: Outcome,
}

/// A state that the server returned. Readings are in the order of the answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// `type/id`, as in entries.
    pub aggregate: String,
    /// The time before the first byte was sent.
    pub invoked: Duration,
    /// The time after the last byte of the answer.
    pub answered: Duration,
    /// The returned version; zero if the aggregate does not exist.
    pub version: u64,
    /// The returned state; null if the aggregate does not exist.
    pub state: Value,
}

/// What a client knows after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged: the aggregate has this version for ever.
    Ok {
        /// The version after the command.
        version: u64,
    },
    /// This attempt changed nothing.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// The command may have happened, may still happen, or may never happen.
    Unknown,
}

impl From<&Result<Answer, NoAnswer>> for Outcome {
    /// Reads the HTTP contract carefully: what is not certain is unknown. After 408 and every 5xx, the command may have
    /// happened. 409 says that an earlier attempt with this key is in progress, so it says nothing about the outcome.
    fn from(answer: &Result<Answer, NoAnswer>) -> Self {
        let Ok(answer) = answer else {
            return Self::Unknown;
        };
        match answer.status {
            200 => match answer.json()["version"].as_u64() {
                Some(version) => Self::Ok { version },
                None => panic!("an acknowledgement without a version: {answer:?}"),
            },
            408 | 409 => Self::Unknown,
            status @ 400..=499 => Self::Refused { status },
            _ => Self::Unknown,
        }
    }
}

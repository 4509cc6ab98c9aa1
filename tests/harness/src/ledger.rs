//! What the client asked and what it was told, kept by the client itself.
//!
//! An entry is one attempt, not one command: a retry under the same key is another entry. So a refused attempt says
//! nothing about an earlier, unknown one with the same key; whoever checks the ledger groups by key.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;

use crate::{Answer, NoAnswer};

/// A record of attempts that many threads write.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<Vec<Entry>>,
}

/// One attempt, in the order in which attempts were invoked.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// `type/id`, or whatever the test calls its aggregates.
    pub aggregate: String,
    /// The idempotency key.
    pub key: String,
    /// The command as it was sent.
    pub command: Value,
    /// Before the first byte was sent.
    pub invoked: Instant,
    /// After the last byte of the answer; `None` while nothing is known.
    pub answered: Option<Instant>,
    /// `Unknown` until an answer is recorded.
    pub outcome: Outcome,
}

/// What the client may believe after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged: the aggregate has this version, and has it for ever.
    Ok {
        /// The version after the command.
        version: u64,
    },
    /// This attempt changed nothing.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// It may have happened, may happen yet, or never.
    Unknown,
}

/// An attempt under way; a dropped one stays [`Outcome::Unknown`].
#[derive(Debug)]
#[must_use]
pub struct Attempt(usize);

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records an attempt. Call it right before sending: `invoked` is now.
    pub fn invoke(&self, aggregate: impl Into<String>, key: impl Into<String>, command: Value) -> Attempt {
        let mut entries = self.lock();
        entries.push(Entry {
            aggregate: aggregate.into(),
            key: key.into(),
            command,
            // Under the lock, so that the order of entries is the order of instants.
            invoked: Instant::now(),
            answered: None,
            outcome: Outcome::Unknown,
        });
        Attempt(entries.len() - 1)
    }

    /// Records what came back, and returns it.
    pub fn answer(&self, attempt: Attempt, outcome: Outcome) -> Outcome {
        let answered = Instant::now();
        let mut entries = self.lock();
        let entry = &mut entries[attempt.0];
        entry.answered = Some(answered);
        entry.outcome = outcome;
        outcome
    }

    /// All entries so far, in the order of their invocation.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// The entries of one aggregate so far, in the order of their invocation.
    #[must_use]
    pub fn entries_of(&self, aggregate: &str) -> Vec<Entry> {
        let entries = self.lock();
        let of_aggregate = entries.iter().filter(|entry| entry.aggregate == aggregate);
        of_aggregate.cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&Result<Answer, NoAnswer>> for Outcome {
    /// The cautious reading of the HTTP contract: what is not certain is unknown. 408 and every 5xx may have happened;
    /// 409 says that an earlier attempt with this key is under way, so nothing about its outcome.
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

#[cfg(test)]
mod tests {
    use std::thread;

    use serde_json::json;

    use super::*;

    #[test]
    fn an_attempt_is_unknown_until_it_is_answered() {
        let ledger = Ledger::new();
        let first = ledger.invoke("account/1", "k1", json!({"amount": 1}));
        let _lost = ledger.invoke("account/1", "k2", json!({"amount": 2}));
        ledger.answer(first, Outcome::Ok { version: 1 });

        let entries = ledger.entries();
        assert_eq!(entries[0].outcome, Outcome::Ok { version: 1 });
        assert!(entries[0].answered.unwrap() >= entries[0].invoked);
        assert_eq!(entries[1].outcome, Outcome::Unknown);
        assert_eq!(entries[1].answered, None);
    }

    #[test]
    fn threads_record_in_the_order_of_invocation() {
        let ledger = Ledger::new();
        thread::scope(|scope| {
            for thread in 0..4 {
                let ledger = &ledger;
                scope.spawn(move || {
                    for number in 0..100 {
                        let attempt = ledger.invoke(format!("account/{thread}"), number.to_string(), json!({}));
                        ledger.answer(attempt, Outcome::Ok { version: number + 1 });
                    }
                });
            }
        });
        assert!(ledger.entries().is_sorted_by_key(|entry| entry.invoked));
        let versions = ledger.entries_of("account/2").into_iter().enumerate();
        for (index, entry) in versions {
            assert_eq!(entry.outcome, Outcome::Ok { version: index as u64 + 1 });
        }
    }

    #[test]
    fn only_what_is_certain_is_believed() {
        let outcome =
            |status: u16, body: &str| Outcome::from(&Ok(Answer { status, headers: Vec::new(), body: body.into() }));
        assert_eq!(outcome(200, r#"{"version":7}"#), Outcome::Ok { version: 7 });
        assert_eq!(outcome(422, "{}"), Outcome::Refused { status: 422 });
        assert_eq!(outcome(429, "{}"), Outcome::Refused { status: 429 });
        assert_eq!(outcome(409, "{}"), Outcome::Unknown);
        assert_eq!(outcome(503, "{}"), Outcome::Unknown);
    }
}

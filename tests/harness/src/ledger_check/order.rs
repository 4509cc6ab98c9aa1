//! Checks the order of answers and requests, in one pass over the history of an aggregate.

use std::collections::HashMap;
use std::time::Duration;

use super::finding::{Finding, Promise};
use crate::{Entry, Outcome, Reading};

/// A request whose answer has a version.
#[derive(Debug, Clone, Copy)]
struct Answered<'a> {
    sent: Duration,
    answered: Duration,
    version: u64,
    /// The key of a command, which creates its version; `None` for a read, which sees it.
    key: Option<&'a str>,
}

/// If A was answered before B was sent, A's version is lower if B is a command, and no higher if B is a read.
///
/// A command that was sent several times counts as sent when it was sent first: a later attempt gets the version of an
/// earlier one.
pub(super) fn check(aggregate: &str, entries: &[&Entry], readings: &[&Reading], findings: &mut Vec<Finding>) {
    let mut first_sent: HashMap<&str, Duration> = HashMap::new();
    for entry in entries {
        first_sent.entry(&entry.key).or_insert(entry.invoked);
    }
    let commands = entries.iter().filter_map(|entry| match (entry.outcome, entry.answered) {
        (Outcome::Ok { version }, Some(answered)) => {
            Some(Answered { sent: first_sent[entry.key.as_str()], answered, version, key: Some(&entry.key) })
        }
        _ => None,
    });
    let reads = readings.iter().map(|reading| Answered {
        sent: reading.invoked,
        answered: reading.answered,
        version: reading.version,
        key: None,
    });
    let mut by_sent: Vec<Answered<'_>> = commands.chain(reads).collect();
    let mut by_answered = by_sent.clone();
    by_sent.sort_by_key(|one| one.sent);
    by_answered.sort_by_key(|one| one.answered);

    let mut before = by_answered.iter().peekable();
    let mut highest = 0;
    for one in &by_sent {
        while let Some(earlier) = before.next_if(|earlier| earlier.answered < one.sent) {
            highest = highest.max(earlier.version);
        }
        match one.key {
            Some(key) if one.version <= highest => findings.push(Finding::new(
                Promise::AnsweredFirstCameFirst,
                aggregate,
                format!("{key} got version {}, and {highest} had been answered before it was sent", one.version),
            )),
            None if one.version < highest => findings.push(Finding::new(
                Promise::ReadsAreFresh,
                aggregate,
                format!("a read showed version {}, and {highest} had been answered before it was sent", one.version),
            )),
            _ => {}
        }
    }
}

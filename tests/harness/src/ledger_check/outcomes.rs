//! Checks the outcomes: an acknowledged command is in the history once, a refused one is not, an unknown one is once or
//! not.

use std::collections::HashMap;

use super::finding::{Finding, Promise};
use super::stored::Stored;
use crate::{Entry, Outcome};

pub(super) fn check(aggregate: &str, stored: &Stored, entries: &[&Entry], findings: &mut Vec<Finding>) {
    let mut find = |promise, seen: String| findings.push(Finding::new(promise, aggregate, seen));
    // The version after each command.
    let mut happened: HashMap<&str, u64> = HashMap::new();
    for event in &stored.events {
        let Some(command) = &event.command else { continue };
        let version = event.version + command.events - 1;
        if let Some(first) = happened.insert(&command.key, version) {
            find(Promise::AtMostOnce, format!("{} led to version {first}, and again to {version}", command.key));
        }
    }
    // A command is certainly absent only if all its attempts were refused: an attempt without an answer may have
    // happened.
    let mut refused: HashMap<&str, bool> = HashMap::new();
    for entry in entries {
        let key = entry.key.as_str();
        let is_refused = matches!(entry.outcome, Outcome::Refused { .. });
        refused.entry(key).and_modify(|all| *all &= is_refused).or_insert(is_refused);
        let Outcome::Ok { version } = entry.outcome else { continue };
        match happened.get(key) {
            Some(&there) if there == version => {}
            Some(there) => {
                find(Promise::AcknowledgedIsThere, format!("{key} was told version {version}, and is at {there}"));
            }
            None => find(Promise::AcknowledgedIsThere, format!("{key} is lost, it was told version {version}")),
        }
    }
    for (key, _) in refused.into_iter().filter(|(_, all)| *all) {
        if let Some(version) = happened.get(key) {
            find(Promise::RefusedIsAbsent, format!("{key} was refused, and led to version {version}"));
        }
    }
}

//! Checks that versions have no gaps, and that positions ascend and belong to one event each.

use std::collections::HashSet;

use super::finding::{Finding, Promise};
use super::stored::Stored;

/// `positions` has the positions of all aggregates so far.
pub(super) fn check(aggregate: &str, stored: &Stored, positions: &mut HashSet<u64>, findings: &mut Vec<Finding>) {
    let mut find = |seen: String| findings.push(Finding::new(Promise::HistoryIsDense, aggregate, seen));
    let mut last = 0;
    for (event, version) in stored.events.iter().zip(1..) {
        if event.version != version {
            // All later versions differ by the same amount.
            find(format!("version {} is where {version} should be", event.version));
            break;
        }
        if event.position <= last {
            find(format!("version {version} is at {}, and its predecessor at {last}", event.position));
        }
        if !positions.insert(event.position) {
            find(format!("version {version} is at {}, as another event is", event.position));
        }
        last = event.position;
    }
}

/// Checks that every position from the first to the last belongs to an event.
pub(super) fn check_log(positions: &HashSet<u64>, findings: &mut Vec<Finding>) {
    let last = positions.iter().max().copied().unwrap_or_default();
    let gaps = (1..=last).filter(|position| !positions.contains(position));
    findings.extend(gaps.map(|position| {
        Finding::new(Promise::HistoryIsDense, "the log", format!("position {position} of {last} is in no history"))
    }));
}

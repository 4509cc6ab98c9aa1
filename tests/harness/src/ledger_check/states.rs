//! The state that is shown now, and those that were shown before, against what the events amount to.

use serde_json::Value;

use super::finding::{Finding, Promise};
use super::told::Told;
use crate::Reading;
use crate::shop::{comparable, open_book};

pub(super) fn check(aggregate: &str, told: &Told, readings: &[&Reading], findings: &mut Vec<Finding>) {
    let last = told.events.last().map_or(0, |event| event.version);
    if told.version != last {
        let seen = format!("its state has version {}, and its last event {last}", told.version);
        findings.push(Finding::new(Promise::StateIsFold, aggregate, seen));
    }
    for reading in readings.iter().filter(|reading| reading.version > last) {
        let seen = format!("a read showed version {}, and there are {last}", reading.version);
        findings.push(Finding::new(Promise::ReadsAreTrue, aggregate, seen));
    }
    let Some(mut book) = open_book(aggregate) else { return };
    let mut readings: Vec<&Reading> = readings.to_vec();
    readings.sort_by_key(|reading| reading.version);
    let mut readings = readings.into_iter().peekable();
    // What was read before anything happened shows nothing.
    while readings.next_if(|reading| reading.version == 0).is_some() {}

    for event in &told.events {
        if let Err(reason) = book.enter(&event.kind, &event.data) {
            let seen = format!("version {}: {reason}", event.version);
            findings.push(Finding::new(Promise::StateIsFold, aggregate, seen));
            // What comes after it has nothing to stand on.
            return;
        }
        while let Some(reading) = readings.next_if(|reading| reading.version == event.version) {
            if let Some(seen) = difference(aggregate, &reading.state, &book.balance()) {
                let seen = format!("a read of version {} showed {seen}", event.version);
                findings.push(Finding::new(Promise::ReadsAreTrue, aggregate, seen));
            }
        }
    }
    let amount = if told.events.is_empty() { Value::Null } else { book.balance() };
    if let Some(seen) = difference(aggregate, &told.state, &amount) {
        findings.push(Finding::new(Promise::StateIsFold, aggregate, format!("its state is {seen}")));
    }
}

/// `None` if there is none.
fn difference(aggregate: &str, shown: &Value, amount: &Value) -> Option<String> {
    let shown = comparable(aggregate, shown);
    (shown != *amount).then(|| format!("{shown}, and its events amount to {amount}"))
}

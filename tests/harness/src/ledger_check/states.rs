//! Compares the current state, and the states that were read before, with the fold of the events.

use serde_json::Value;

use super::finding::{Finding, Promise};
use super::stored::Stored;
use crate::Reading;
use crate::shop::{comparable, model_of};

pub(super) fn check(aggregate: &str, stored: &Stored, readings: &[&Reading], findings: &mut Vec<Finding>) {
    let last = stored.events.last().map_or(0, |event| event.version);
    if stored.version != last {
        let seen = format!("its state has version {}, and its last event {last}", stored.version);
        findings.push(Finding::new(Promise::StateIsFold, aggregate, seen));
    }
    for reading in readings.iter().filter(|reading| reading.version > last) {
        let seen = format!("a read showed version {}, and there are {last}", reading.version);
        findings.push(Finding::new(Promise::ReadsAreTrue, aggregate, seen));
    }
    let Some(mut model) = model_of(aggregate) else { return };
    let mut readings: Vec<&Reading> = readings.to_vec();
    readings.sort_by_key(|reading| reading.version);
    let mut readings = readings.into_iter().peekable();
    // A read before the first event returned no state.
    while readings.next_if(|reading| reading.version == 0).is_some() {}

    for event in &stored.events {
        if let Err(reason) = model.apply(&event.kind, &event.data) {
            let seen = format!("version {}: {reason}", event.version);
            findings.push(Finding::new(Promise::StateIsFold, aggregate, seen));
            // Later events cannot be applied after this one.
            return;
        }
        while let Some(reading) = readings.next_if(|reading| reading.version == event.version) {
            if let Some(seen) = difference(aggregate, &reading.state, &model.state()) {
                let seen = format!("a read of version {} showed {seen}", event.version);
                findings.push(Finding::new(Promise::ReadsAreTrue, aggregate, seen));
            }
        }
    }
    let amount = if stored.events.is_empty() { Value::Null } else { model.state() };
    if let Some(seen) = difference(aggregate, &stored.state, &amount) {
        findings.push(Finding::new(Promise::StateIsFold, aggregate, format!("its state is {seen}")));
    }
}

/// `None` if there is no difference.
fn difference(aggregate: &str, shown: &Value, amount: &Value) -> Option<String> {
    let shown = comparable(aggregate, shown);
    (shown != *amount).then(|| format!("{shown}, and its events amount to {amount}"))
}

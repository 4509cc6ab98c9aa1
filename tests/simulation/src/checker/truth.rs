//! The content of the log.

use std::collections::BTreeMap;

use dormouse_kernel::RecordedEvent;
use serde::{Deserialize, Serialize};

use crate::history::{Done, Name};
use crate::register::Register;

/// An event as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LoggedEvent {
    pub(crate) command: String,
    pub(crate) number: i64,
    pub(crate) part: u32,
    pub(crate) parts: u32,
}

/// A whole command in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoggedCommand {
    pub(super) first_version: u64,
    last_version: u64,
    last_position: u64,
}

type Place = (String, String);

/// States and commands of the whole log, and the violations in it.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// For each aggregate, its states at all versions from zero on.
    states: BTreeMap<Place, Vec<Register>>,
    pub(super) commands: BTreeMap<String, Vec<LoggedCommand>>,
    pub(super) violations: Vec<String>,
    /// Commands whose last part has not come yet.
    open: BTreeMap<Place, LoggedEvent>,
}

impl LoggedCommand {
    /// The version before the command.
    pub(super) fn before(&self) -> u64 {
        self.first_version - 1
    }

    pub(super) fn matches(&self, done: &Done) -> bool {
        let events = self.last_version + 1 - self.first_version;
        (self.last_version, self.last_position, events) == (done.version, done.position, done.events as u64)
    }
}

impl Truth {
    /// Positions and versions must be dense, and the events of a command complete and without others between them.
    pub(super) fn read(log: &[RecordedEvent]) -> Self {
        let mut truth = Self::default();
        for (event, position) in log.iter().zip(1..) {
            if event.position.0 != position {
                truth.wrong(format!("position {position} is {} in the log", event.position));
            }
            truth.event(event);
        }
        for (place, noted) in std::mem::take(&mut truth.open) {
            truth.wrong(format!("{place:?} ends with a part of a command: {noted:?}"));
        }
        truth
    }

    pub(super) fn state(&self, of: &Name, version: u64) -> Option<&Register> {
        let states = self.states.get(&(of.0.to_owned(), of.1.to_owned()));
        match (states, version) {
            (None, 0) => Some(&Register { count: 0, total: 0, digest: 0 }),
            (states, version) => states?.get(usize::try_from(version).ok()?),
        }
    }

    fn wrong(&mut self, violation: String) {
        self.violations.push(violation);
    }

    fn event(&mut self, event: &RecordedEvent) {
        let place = (event.aggregate.aggregate_type.as_str().to_owned(), event.aggregate.id.as_str().to_owned());
        let (position, version) = (event.position.0, event.version.0);
        let states = self.states.entry(place.clone()).or_insert_with(|| vec![Register::default()]);
        let next = states.len() as u64;
        let Ok(noted) = rmp_serde::from_slice::<LoggedEvent>(&event.event.payload) else {
            return self.wrong(format!("what is at position {position} was never meant to be stored"));
        };
        states.push(after(&states[states.len() - 1], &noted));
        if version != next {
            self.wrong(format!("{place:?} has version {version} at position {position}, {next} was next"));
        }
        let goes_on = match self.open.remove(&place) {
            Some(before) => before.command == noted.command && noted.part == before.part + 1,
            None => noted.part == 0,
        };
        if !goes_on {
            self.wrong(format!("{noted:?} at position {position} does not follow what is before it"));
        }
        if noted.part + 1 < noted.parts {
            self.open.insert(place, noted);
        } else {
            let first_version = version + 1 - u64::from(noted.parts);
            let found = LoggedCommand { first_version, last_version: version, last_position: position };
            self.commands.entry(noted.command).or_default().push(found);
        }
    }
}

/// Applies an event like the aggregate, but without its code.
fn after(before: &Register, noted: &LoggedEvent) -> Register {
    let mut digest = before.digest;
    for byte in noted.command.as_bytes() {
        digest = digest.wrapping_mul(1_000_003) ^ u64::from(*byte);
    }
    digest = digest.wrapping_mul(1_000_003) ^ noted.number.unsigned_abs();
    Register { count: before.count + 1, total: before.total + noted.number, digest }
}

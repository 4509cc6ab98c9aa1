//! The records of a ledger, and how they are read from its file.

use std::time::Duration;

use serde_json::Value;

use super::entry::{Entry, Outcome, Reading};

#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) entries: Vec<Entry>,
    pub(super) readings: Vec<Reading>,
}

impl Records {
    /// `None` if the line does not belong to a ledger.
    pub(super) fn read_line(&mut self, line: &Value) -> Option<()> {
        let at = time(&line["at"])?;
        if let Some(number) = line["answered"].as_u64() {
            let entry = self.entries.get_mut(usize::try_from(number).ok()?)?;
            entry.answered = Some(at);
            entry.outcome = match (line["ok"].as_u64(), line["refused"].as_u64()) {
                (Some(version), _) => Outcome::Ok { version },
                (_, Some(status)) => Outcome::Refused { status: u16::try_from(status).ok()? },
                (None, None) => Outcome::Unknown,
            };
        } else if let Some(aggregate) = line["read"].as_str() {
            self.readings.push(Reading {
                aggregate: aggregate.to_owned(),
                invoked: time(&line["sent"])?,
                answered: at,
                version: line["version"].as_u64()?,
                state: line["state"].clone(),
            });
        } else {
            self.entries.push(Entry {
                aggregate: line["aggregate"].as_str()?.to_owned(),
                key: line["key"].as_str()?.to_owned(),
                command: line["command"].clone(),
                invoked: at,
                answered: None,
                outcome: Outcome::Unknown,
            });
        }
        Some(())
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn time(nanos: &Value) -> Option<Duration> {
    nanos.as_u64().map(Duration::from_nanos)
}

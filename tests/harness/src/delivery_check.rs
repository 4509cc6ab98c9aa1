//! Compares what aggregates sent, the times they waited for and what a handler did with what became of it: in the logs of
//! the scripts, and in the file of effects that `tests/failing/src/messaging` writes. This code shares nothing with the
//! product.

mod alarms;
mod books;
mod effects;
mod reservations;
#[cfg(test)]
mod tests;
mod transfers;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Client, Finding, Log, Promise};

/// Nothing has happened for this long: a repetition would have come by now.
const QUIET: Duration = Duration::from_secs(2);

/// Nothing has happened for this long: what is missing is lost. Longer than any pause before another attempt, and than
/// any timer.
const SILENCE: Duration = Duration::from_secs(12);

const POLL: Duration = Duration::from_millis(20);

/// The number of findings in a failure message; there may be thousands with one cause.
const SHOWN: usize = 20;

/// The findings about a log and the effects of its events.
#[derive(Debug, Clone, Default)]
pub struct DeliveryCheck {
    /// What nothing can mend.
    broken: Vec<Finding>,
    /// What may still happen.
    missing: Vec<Finding>,
    transfers: usize,
    reservations: usize,
    rings: usize,
    effects: usize,
}

/// The events of each aggregate of one type, by id.
type Histories<'a> = BTreeMap<&'a str, Vec<&'a Value>>;

impl DeliveryCheck {
    /// Waits until nothing is missing and nothing happens any more, or until nothing has happened for so long that what
    /// is missing is lost. The clients must have stopped. Then it also reads the balances that the server returns.
    ///
    /// # Panics
    /// When the server returns an error.
    #[must_use]
    #[track_caller]
    pub fn settled(client: &Client, effects: &Path) -> Self {
        let mut log = Log::read(client);
        let (mut size, mut since) = ((0, 0), Instant::now());
        let mut check = None;
        loop {
            log.read_on(client);
            let written = read(effects);
            let now = (log.head(), written.len());
            if now != size {
                (size, since, check) = (now, Instant::now(), None);
            }
            let silence = since.elapsed();
            if silence >= QUIET {
                let found = check.get_or_insert_with(|| Self::of(log.events(), &written));
                if found.missing.is_empty() || silence >= SILENCE {
                    found.check_states(log.events(), client);
                    return found.clone();
                }
            }
            sleep(POLL);
        }
    }

    /// The findings about these events, in their order in the log, and these lines of effects.
    #[must_use]
    pub fn of(log: &[Value], effects: &str) -> Self {
        let mut check = Self::default();
        let (accounts, transfers) = (histories(log, "account"), histories(log, "transfer"));
        transfers::check(&accounts, &transfers, &mut check);
        books::check(&accounts, &histories(log, "book"), &mut check);
        alarms::check(&histories(log, "alarm"), &mut check);
        effects::check(&transfers, effects, &mut check);
        reservations::check(&histories(log, "order"), &histories(log, "inventory"), &mut check);
        check
    }

    /// All promises that were not kept.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.broken.iter().chain(&self.missing).cloned().collect()
    }

    /// The number of timers that fired.
    #[must_use]
    pub const fn rings(&self) -> usize {
        self.rings
    }

    /// The number of attempts that had an effect outside, repetitions included.
    #[must_use]
    pub const fn effects(&self) -> usize {
        self.effects
    }

    /// Passes if every promise was kept, and if something was delivered.
    ///
    /// # Panics
    /// When a promise was not kept, or nothing was delivered, because then the test shows nothing.
    #[track_caller]
    pub fn expect_none(&self) {
        let findings = self.findings();
        let shown: Vec<String> = findings.iter().take(SHOWN).map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{} promises were not kept:\n{}", findings.len(), shown.join("\n"));
        assert!(!self.is_empty(), "nothing was delivered: this run shows nothing");
    }

    const fn is_empty(&self) -> bool {
        self.transfers + self.reservations + self.rings == 0 && self.missing.is_empty() && self.broken.is_empty()
    }

    fn broken(&mut self, promise: Promise, aggregate: &str, seen: impl Into<String>) {
        self.broken.push(Finding::new(promise, aggregate, seen));
    }

    fn missing(&mut self, promise: Promise, aggregate: &str, seen: impl Into<String>) {
        self.missing.push(Finding::new(promise, aggregate, seen));
    }

    /// The balances that the server returns are those of the events.
    fn check_states(&mut self, log: &[Value], client: &Client) {
        for (id, events) in &histories(log, "account") {
            let answer = client.get(&format!("/v1/account/{id}")).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(answer.status, 200, "{answer}");
            let (shown, expected) = (answer.json()["state"]["balance"].clone(), transfers::balance(events));
            if shown.as_i64() != Some(expected) {
                self.broken(
                    Promise::MoneyIsConserved,
                    id,
                    format!("it shows {shown}, its events amount to {expected}"),
                );
            }
        }
    }
}

impl fmt::Display for DeliveryCheck {
    /// The size of the evidence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transfers, reservations, rings, effects, .. } = self;
        write!(f, "{transfers} transfers, {reservations} reservations, {rings} timers fired, {effects} effects")
    }
}

/// The file of effects. There is none before the first effect.
fn read(effects: &Path) -> String {
    fs::read_to_string(effects).unwrap_or_default()
}

fn histories<'a>(log: &'a [Value], kind: &str) -> Histories<'a> {
    let mut histories = Histories::new();
    for event in log.iter().filter(|event| event["aggregate"] == kind) {
        histories.entry(text(&event["id"])).or_default().push(event);
    }
    histories
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} should be a text"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} should be a number"))
}

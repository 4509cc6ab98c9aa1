//! Compares the clients' ledger with the server's histories and states, and finds the promises that were not kept. This
//! code shares nothing with the product.

mod dense;
mod finding;
mod order;
mod outcomes;
mod probe;
mod quick_check;
mod states;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::messages::are_delivered;
use crate::{Client, Entry, Ledger, Outcome, Reading};
pub use finding::{Finding, Promise};
use probe::Probe;
pub use quick_check::quick_check;
use stored::Stored;

/// Threads that send requests to the server.
const READERS: usize = 4;

/// The maximum number of acknowledged commands that are sent again.
const RETRIES: usize = 1_000;

/// The number of findings in a failure message; there may be thousands with one cause.
const SHOWN: usize = 20;

/// The evidence after the clients have stopped: their ledger, and what the server returns for each aggregate in it.
#[derive(Debug)]
pub struct LedgerCheck {
    entries: Vec<Entry>,
    readings: Vec<Reading>,
    /// `Err` describes the unexpected answer.
    stored: BTreeMap<String, Result<Stored, String>>,
    /// Acknowledged commands that were sent again, and their outcomes.
    retried: Vec<(Entry, Outcome)>,
    /// No other client has written to the journal.
    is_sole_writer: bool,
    /// All messages were delivered before the server was asked.
    are_delivered: bool,
}

/// The records about one aggregate.
#[derive(Default)]
struct Recorded<'a> {
    entries: Vec<&'a Entry>,
    readings: Vec<&'a Reading>,
}

impl LedgerCheck {
    /// Reads every aggregate in the ledger from the server, and sends some of the acknowledged commands again. The
    /// clients must have stopped, or wait.
    #[must_use]
    pub fn of(ledger: &Ledger, client: &Client) -> Self {
        let are_delivered = are_delivered(client);
        let probe = Probe::of(client);
        let entries = ledger.entries();
        let named: BTreeSet<&str> = entries.iter().map(|entry| entry.aggregate.as_str()).collect();
        let named: Vec<&str> = named.into_iter().collect();
        let stored = in_parallel(&named, |name| (String::from(*name), probe.read(name)));
        // The histories were read before this: a command that was lost and is carried out now must be found as lost.
        let acknowledged: Vec<&Entry> =
            entries.iter().filter(|entry| matches!(entry.outcome, Outcome::Ok { .. })).collect();
        let every = acknowledged.len().div_ceil(RETRIES).max(1);
        let again: Vec<&Entry> = acknowledged.into_iter().step_by(every).collect();
        let retried = in_parallel(&again, |entry| (Entry::clone(entry), probe.resend(entry)));
        Self {
            retried,
            stored: stored.into_iter().collect(),
            readings: ledger.readings(),
            entries,
            is_sole_writer: false,
            are_delivered,
        }
    }

    /// Declares that only these clients have ever written to the journal. Then every position of the log must belong to
    /// one of their events. A batch that was written twice is found by the positions of its copy, which are in no
    /// history.
    #[must_use]
    pub fn sole_writer(mut self) -> Self {
        self.is_sole_writer = true;
        self
    }

    /// All promises that were not kept.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut positions = HashSet::new();
        let recorded = self.recorded();
        for (aggregate, stored) in &self.stored {
            match stored {
                Ok(stored) => {
                    Self::check(aggregate, stored, &recorded[aggregate.as_str()], &mut positions, &mut findings)
                }
                Err(said) => findings.push(Finding::new(Promise::Readable, aggregate, said)),
            }
        }
        if !self.are_delivered {
            findings.push(Finding::new(Promise::MessagesArriveOnce, "all", "messages are still on their way"));
        }
        if self.is_sole_writer && self.stored.values().all(Result::is_ok) {
            dense::check_log(&positions, &mut findings);
        }
        findings.extend(self.retried.iter().filter(|(entry, again)| entry.outcome != *again).map(|(entry, again)| {
            let seen = format!("{} got {:?}, and {again:?} when it was sent again", entry.key, entry.outcome);
            Finding::new(Promise::RetriesGetTheFirstOutcome, &entry.aggregate, seen)
        }));
        findings
    }

    /// Passes if every promise was kept, and at least one command was acknowledged.
    ///
    /// # Panics
    /// When a promise was not kept, or nothing was acknowledged, because then the test shows nothing.
    #[track_caller]
    pub fn expect_none(&self) {
        let findings = self.findings();
        let shown: Vec<String> = findings.iter().take(SHOWN).map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{} promises were not kept:\n{}", findings.len(), shown.join("\n"));
        assert!(self.acknowledged() > 0, "nothing was acknowledged: this run shows nothing");
    }

    /// How many attempts were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Ok { .. }))
    }

    fn count(&self, counts: impl Fn(&Outcome) -> bool) -> usize {
        self.entries.iter().filter(|entry| counts(&entry.outcome)).count()
    }

    fn recorded(&self) -> HashMap<&str, Recorded<'_>> {
        let mut recorded: HashMap<&str, Recorded<'_>> = HashMap::new();
        for entry in &self.entries {
            recorded.entry(&entry.aggregate).or_default().entries.push(entry);
        }
        for reading in &self.readings {
            recorded.entry(&reading.aggregate).or_default().readings.push(reading);
        }
        recorded
    }

    fn check(
        aggregate: &str,
        stored: &Stored,
        recorded: &Recorded<'_>,
        positions: &mut HashSet<u64>,
        findings: &mut Vec<Finding>,
    ) {
        dense::check(aggregate, stored, positions, findings);
        outcomes::check(aggregate, stored, &recorded.entries, findings);
        order::check(aggregate, &recorded.entries, &recorded.readings, findings);
        states::check(aggregate, stored, &recorded.readings, findings);
    }
}

impl fmt::Display for LedgerCheck {
    /// The size of the evidence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = self.count(|outcome| matches!(outcome, Outcome::Refused { .. }));
        let unknown = self.count(|outcome| *outcome == Outcome::Unknown);
        write!(
            f,
            "{} attempts acknowledged, {refused} refused, {unknown} unknown; {} reads; {} aggregates, {} commands sent again",
            self.acknowledged(),
            self.readings.len(),
            self.stored.len(),
            self.retried.len(),
        )
    }
}

/// Applies `work` to each item, with a few threads.
fn in_parallel<I: Sync, O: Send>(items: &[I], work: impl Fn(&I) -> O + Sync) -> Vec<O> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let made = work(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(made);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

//! The clients' ledger against what the server tells: what was promised, and not kept. This code shares nothing with
//! the product.

mod dense;
mod finding;
mod glance;
mod inquiry;
mod order;
mod outcomes;
mod states;
#[cfg(test)]
mod tests;
mod told;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::{Client, Entry, Ledger, Outcome, Reading};
pub use finding::{Finding, Promise};
pub use glance::glance;
use inquiry::Inquiry;
use told::Told;

/// Threads that ask the server.
const READERS: usize = 4;

/// Most acknowledged commands that are sent again.
const RETRIES: usize = 1_000;

/// Findings that a failure shows; there may be thousands, all of one cause.
const SHOWN: usize = 20;

/// Everything that can be known once the clients have gone: what they wrote down, and what the server tells about every
/// aggregate they named.
#[derive(Debug)]
pub struct Verdict {
    entries: Vec<Entry>,
    readings: Vec<Reading>,
    /// `Err` is what the server said instead.
    told: BTreeMap<String, Result<Told, String>>,
    /// Acknowledged commands that were sent again, and what came back.
    retried: Vec<(Entry, Outcome)>,
    /// Nobody else has written to the journal.
    alone: bool,
}

/// What the clients wrote down about one aggregate.
#[derive(Default)]
struct Recorded<'a> {
    entries: Vec<&'a Entry>,
    readings: Vec<&'a Reading>,
}

impl Verdict {
    /// Asks the server about everything in the ledger, and sends some of the acknowledged commands again. The clients
    /// must have gone, or wait.
    #[must_use]
    pub fn on(ledger: &Ledger, client: &Client) -> Self {
        let inquiry = Inquiry::of(client);
        let entries = ledger.entries();
        let named: BTreeSet<&str> = entries.iter().map(|entry| entry.aggregate.as_str()).collect();
        let named: Vec<&str> = named.into_iter().collect();
        let told = in_parallel(&named, |name| (String::from(*name), inquiry.ask(name)));
        // After the histories were read: a retry that is carried out once more must not hide that it was lost before.
        let acknowledged: Vec<&Entry> =
            entries.iter().filter(|entry| matches!(entry.outcome, Outcome::Ok { .. })).collect();
        let every = acknowledged.len().div_ceil(RETRIES).max(1);
        let again: Vec<&Entry> = acknowledged.into_iter().step_by(every).collect();
        let retried = in_parallel(&again, |entry| (Entry::clone(entry), inquiry.again(entry)));
        Self { retried, told: told.into_iter().collect(), readings: ledger.readings(), entries, alone: false }
    }

    /// Nobody but these clients has ever written to the journal: then each position of the log must be one of theirs, and
    /// a batch that was written twice is found by the positions of the copy, which no history shows.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Every promise that was not kept.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut positions = HashSet::new();
        let recorded = self.recorded();
        for (aggregate, told) in &self.told {
            match told {
                Ok(told) => Self::check(aggregate, told, &recorded[aggregate.as_str()], &mut positions, &mut findings),
                Err(said) => findings.push(Finding::new(Promise::Readable, aggregate, said)),
            }
        }
        if self.alone && self.told.values().all(Result::is_ok) {
            dense::check_log(&positions, &mut findings);
        }
        findings.extend(self.retried.iter().filter(|(entry, again)| entry.outcome != *again).map(|(entry, again)| {
            let seen = format!("{} got {:?}, and {again:?} when it was sent again", entry.key, entry.outcome);
            Finding::new(Promise::RetriesGetTheFirstOutcome, &entry.aggregate, seen)
        }));
        findings
    }

    /// Passes if every promise was kept, and there was one.
    ///
    /// # Panics
    /// When one was not, or nothing was acknowledged, which shows nothing.
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
        told: &Told,
        recorded: &Recorded<'_>,
        positions: &mut HashSet<u64>,
        findings: &mut Vec<Finding>,
    ) {
        dense::check(aggregate, told, positions, findings);
        outcomes::check(aggregate, told, &recorded.entries, findings);
        order::check(aggregate, &recorded.entries, &recorded.readings, findings);
        states::check(aggregate, told, &recorded.readings, findings);
    }
}

impl fmt::Display for Verdict {
    /// What it stands on, in numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = self.count(|outcome| matches!(outcome, Outcome::Refused { .. }));
        let unknown = self.count(|outcome| *outcome == Outcome::Unknown);
        write!(
            f,
            "{} attempts acknowledged, {refused} refused, {unknown} unknown; {} reads; {} aggregates, {} commands sent again",
            self.acknowledged(),
            self.readings.len(),
            self.told.len(),
            self.retried.len(),
        )
    }
}

/// What `work` makes of each item, by a few threads.
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

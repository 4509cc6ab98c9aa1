//! The clients' record of what they sent and which answers they got.
//!
//! An entry is one attempt, not one command: a retry with the same key is another entry. So a refused attempt says
//! nothing about an earlier attempt with the same key and an unknown outcome; checks must group entries by key.
//!
//! The ledger survives the end of the test process: each line is synced to a file, an invocation before its request is
//! sent, an answer before any client acts on it. The file is removed with the ledger unless the test fails or is
//! killed; [`Ledger::read`] reads it again. Clients that write at the same time share a sync, so 64 of them cost little
//! more than one.

mod entry;
mod file;
mod records;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, process, thread};

use serde_json::{Value, json};

pub use entry::{Entry, Outcome, Reading};
use file::LedgerFile;
use records::{Records, nanos};

/// Attempts and reads, recorded by many threads. Times count from the creation of the ledger.
#[derive(Debug)]
pub struct Ledger {
    began: Instant,
    file: LedgerFile,
    kept: AtomicBool,
    records: Mutex<Records>,
}

/// An attempt in progress. If it is dropped, its outcome stays [`Outcome::Unknown`].
#[derive(Debug)]
#[must_use]
pub struct Attempt(usize);

impl Ledger {
    /// An empty ledger, with a file in the directory for temporary files.
    #[must_use]
    pub fn new() -> Self {
        static LEDGERS: Mutex<u32> = Mutex::new(0);
        let mut number = LEDGERS.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        // The name contains the time, because process ids are reused, and the file of a killed test stays.
        let time = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis());
        let name = format!("dormouse-ledger-{time}-{}-{number}.jsonl", process::id());
        Self::create(&std::env::temp_dir().join(name))
    }

    /// An empty ledger with a new file.
    ///
    /// # Panics
    /// When the file exists already, or cannot be written.
    #[must_use]
    pub fn create(path: &Path) -> Self {
        let (file, kept) = (LedgerFile::create(path), AtomicBool::new(false));
        Self { began: Instant::now(), file, kept, records: Mutex::default() }
    }

    /// Reads a ledger from its file: the attempts, then the reads. A last line that is incomplete is left out: its
    /// writer ended before it acted on it.
    ///
    /// # Panics
    /// When the file cannot be read.
    #[must_use]
    pub fn read(path: &Path) -> (Vec<Entry>, Vec<Reading>) {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("no ledger at {}: {error}", path.display()));
        let mut records = Records::default();
        for line in text.lines().map_while(|line| serde_json::from_str::<Value>(line).ok()) {
            records.read_line(&line).unwrap_or_else(|| panic!("this is no line of a ledger: {line}"));
        }
        (records.entries, records.readings)
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Keeps the file when the ledger is dropped, and prints its path. For tests that fail.
    pub fn keep(&self) {
        if !self.kept.swap(true, Ordering::Relaxed) {
            println!("the clients' ledger is kept: {}", self.path().display());
        }
    }

    /// Records an attempt. Call it right before the request is sent: `invoked` is now, and on disk when this returns.
    pub fn invoke(&self, aggregate: impl Into<String>, key: impl Into<String>, command: Value) -> Attempt {
        let (aggregate, key) = (aggregate.into(), key.into());
        let mut records = self.lock();
        // The lock makes the order of entries the order of times.
        let invoked = self.now();
        let number = records.entries.len();
        let line = self.file.write(
            &json!({"invoked": number, "at": nanos(invoked), "aggregate": aggregate, "key": key, "command": command})
                .to_string(),
        );
        records.entries.push(Entry { aggregate, key, command, invoked, answered: None, outcome: Outcome::Unknown });
        drop(records);
        self.file.sync(line);
        Attempt(number)
    }

    /// Records the outcome, and returns it once it is on disk.
    pub fn answer(&self, attempt: Attempt, outcome: Outcome) -> Outcome {
        let answered = self.now();
        let mut line = json!({"answered": attempt.0, "at": nanos(answered)});
        match outcome {
            Outcome::Ok { version } => line["ok"] = version.into(),
            Outcome::Refused { status } => line["refused"] = status.into(),
            Outcome::Unknown => {}
        }
        let line = self.file.write(&line.to_string());
        self.file.sync(line);
        let mut records = self.lock();
        let entry = &mut records.entries[attempt.0];
        entry.answered = Some(answered);
        entry.outcome = outcome;
        outcome
    }

    /// The time for [`saw`](Self::saw). Call it right before a read is sent.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Records a state that the server returned for a read that was sent at `invoked`. A read without an answer needs
    /// no record.
    pub fn saw(&self, aggregate: impl Into<String>, invoked: Duration, version: u64, state: Value) {
        let reading = Reading { aggregate: aggregate.into(), invoked, answered: self.now(), version, state };
        let line = json!({
            "read": reading.aggregate,
            "sent": nanos(invoked),
            "at": nanos(reading.answered),
            "version": version,
            "state": reading.state,
        });
        let line = self.file.write(&line.to_string());
        self.file.sync(line);
        self.lock().readings.push(reading);
    }

    /// How many attempts there are so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All attempts so far, in the order of their invocation.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// The attempts from the `first` on, in the order of their invocation.
    #[must_use]
    pub fn entries_from(&self, first: usize) -> Vec<Entry> {
        self.lock().entries.get(first..).unwrap_or_default().to_vec()
    }

    /// The attempts at one aggregate so far, in the order of their invocation.
    #[must_use]
    pub fn entries_of(&self, aggregate: &str) -> Vec<Entry> {
        let records = self.lock();
        let of_aggregate = records.entries.iter().filter(|entry| entry.aggregate == aggregate);
        of_aggregate.cloned().collect()
    }

    /// All reads so far.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        self.lock().readings.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if thread::panicking() {
            self.keep();
        }
        if !self.kept.load(Ordering::Relaxed) {
            // The file may have been removed with its directory.
            let _gone = fs::remove_file(self.path());
        }
    }
}

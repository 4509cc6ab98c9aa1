//! What the client asked and what it was told, kept by the client itself.
//!
//! An entry is one attempt, not one command: a retry under the same key is another entry. So a refused attempt says
//! nothing about an earlier, unknown one with the same key; whoever checks the ledger groups by key.
//!
//! The ledger outlives what it watches: each line is synced to a file, an invocation before its request is sent, an
//! answer before anybody acts on it. The file is removed with the ledger unless the test fails or is killed;
//! [`Ledger::read`] reads it again. Clients that write at the same time share a sync, so 64 of them cost little more
//! than one.

mod paper;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, process, thread};

use serde_json::{Value, json};

use crate::{Answer, NoAnswer};
use paper::Paper;

/// A record of attempts and reads that many threads write. Times count from its beginning.
#[derive(Debug)]
pub struct Ledger {
    began: Instant,
    paper: Paper,
    kept: AtomicBool,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    entries: Vec<Entry>,
    readings: Vec<Reading>,
}

/// One attempt, in the order in which attempts were invoked.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// `type/id`, or whatever the test calls its aggregates.
    pub aggregate: String,
    /// The idempotency key.
    pub key: String,
    /// The command as it was sent.
    pub command: Value,
    /// Before the first byte was sent.
    pub invoked: Duration,
    /// After the last byte of the answer; `None` while nothing is known.
    pub answered: Option<Duration>,
    /// `Unknown` until an answer is recorded.
    pub outcome: Outcome,
}

/// A state that was shown, in the order of the answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// `type/id`, as in entries.
    pub aggregate: String,
    /// Before the first byte was sent.
    pub invoked: Duration,
    /// After the last byte of the answer.
    pub answered: Duration,
    /// The version that was shown; zero if there was none.
    pub version: u64,
    /// The state that was shown; null if there was none.
    pub state: Value,
}

/// What the client may believe after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged: the aggregate has this version, and has it for ever.
    Ok {
        /// The version after the command.
        version: u64,
    },
    /// This attempt changed nothing.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// It may have happened, may happen yet, or never.
    Unknown,
}

/// An attempt under way; a dropped one stays [`Outcome::Unknown`].
#[derive(Debug)]
#[must_use]
pub struct Attempt(usize);

impl Ledger {
    /// An empty ledger, on a file in the directory for temporary files.
    #[must_use]
    pub fn new() -> Self {
        static LEDGERS: Mutex<u32> = Mutex::new(0);
        let mut number = LEDGERS.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        // The time, too: a process id comes again, and a file that a killed test has left stays.
        let time = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis());
        let name = format!("dormouse-ledger-{time}-{}-{number}.jsonl", process::id());
        Self::create(&std::env::temp_dir().join(name))
    }

    /// An empty ledger on a new file.
    ///
    /// # Panics
    /// When the file is there already, or cannot be written.
    #[must_use]
    pub fn create(path: &Path) -> Self {
        let (paper, kept) = (Paper::create(path), AtomicBool::new(false));
        Self { began: Instant::now(), paper, kept, records: Mutex::default() }
    }

    /// What a ledger holds that was left on disk: the attempts, then the reads. A line that was cut short, by the end of
    /// whoever wrote it, was not acted on, and is left out.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn read(path: &Path) -> (Vec<Entry>, Vec<Reading>) {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("no ledger at {}: {error}", path.display()));
        let mut records = Records::default();
        for line in text.lines().map_while(|line| serde_json::from_str::<Value>(line).ok()) {
            records.read_line(&line).unwrap_or_else(|| panic!("this is no line of a ledger: {line}"));
        }
        (records.entries, records.readings)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.paper.path()
    }

    /// Leaves the file when the ledger goes, and says where: the test fails.
    pub fn keep(&self) {
        if !self.kept.swap(true, Ordering::Relaxed) {
            println!("the clients' ledger is kept: {}", self.path().display());
        }
    }

    /// Records an attempt. Call it right before sending: `invoked` is now, and on disk when this returns.
    pub fn invoke(&self, aggregate: impl Into<String>, key: impl Into<String>, command: Value) -> Attempt {
        let (aggregate, key) = (aggregate.into(), key.into());
        let mut records = self.lock();
        // Under the lock, so that the order of entries is the order of times.
        let invoked = self.now();
        let number = records.entries.len();
        let line = self.paper.write(
            &json!({"invoked": number, "at": nanos(invoked), "aggregate": aggregate, "key": key, "command": command})
                .to_string(),
        );
        records.entries.push(Entry { aggregate, key, command, invoked, answered: None, outcome: Outcome::Unknown });
        drop(records);
        self.paper.sync(line);
        Attempt(number)
    }

    /// Records what came back, and returns it once that is on disk.
    pub fn answer(&self, attempt: Attempt, outcome: Outcome) -> Outcome {
        let answered = self.now();
        let mut line = json!({"answered": attempt.0, "at": nanos(answered)});
        match outcome {
            Outcome::Ok { version } => line["ok"] = version.into(),
            Outcome::Refused { status } => line["refused"] = status.into(),
            Outcome::Unknown => {}
        }
        let line = self.paper.write(&line.to_string());
        self.paper.sync(line);
        let mut records = self.lock();
        let entry = &mut records.entries[attempt.0];
        entry.answered = Some(answered);
        entry.outcome = outcome;
        outcome
    }

    /// The time, for [`saw`](Self::saw): call it right before a read is sent.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Records a state that was shown to a read sent at `invoked`. A read without an answer says nothing, and needs no
    /// record.
    pub fn saw(&self, aggregate: impl Into<String>, invoked: Duration, version: u64, state: Value) {
        let reading = Reading { aggregate: aggregate.into(), invoked, answered: self.now(), version, state };
        let line = json!({
            "read": reading.aggregate,
            "sent": nanos(invoked),
            "at": nanos(reading.answered),
            "version": version,
            "state": reading.state,
        });
        let line = self.paper.write(&line.to_string());
        self.paper.sync(line);
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
            // It may have been removed with the directory around it.
            let _gone = fs::remove_file(self.path());
        }
    }
}

impl Records {
    /// `None` if it is no line of a ledger.
    fn read_line(&mut self, line: &Value) -> Option<()> {
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

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn time(nanos: &Value) -> Option<Duration> {
    nanos.as_u64().map(Duration::from_nanos)
}

impl From<&Result<Answer, NoAnswer>> for Outcome {
    /// The cautious reading of the HTTP contract: what is not certain is unknown. 408 and every 5xx may have happened;
    /// 409 says that an earlier attempt with this key is under way, so nothing about its outcome.
    fn from(answer: &Result<Answer, NoAnswer>) -> Self {
        let Ok(answer) = answer else {
            return Self::Unknown;
        };
        match answer.status {
            200 => match answer.json()["version"].as_u64() {
                Some(version) => Self::Ok { version },
                None => panic!("an acknowledgement without a version: {answer:?}"),
            },
            408 | 409 => Self::Unknown,
            status @ 400..=499 => Self::Refused { status },
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn an_attempt_is_unknown_until_it_is_answered() {
        let ledger = Ledger::new();
        let first = ledger.invoke("account/1", "k1", json!({"amount": 1}));
        let _lost = ledger.invoke("account/1", "k2", json!({"amount": 2}));
        ledger.answer(first, Outcome::Ok { version: 1 });

        let entries = ledger.entries();
        assert_eq!(entries[0].outcome, Outcome::Ok { version: 1 });
        assert!(entries[0].answered.unwrap() >= entries[0].invoked);
        assert_eq!(entries[1].outcome, Outcome::Unknown);
        assert_eq!(entries[1].answered, None);
    }

    #[test]
    fn threads_record_in_the_order_of_invocation() {
        let ledger = Ledger::new();
        thread::scope(|scope| {
            for thread in 0..4 {
                let ledger = &ledger;
                scope.spawn(move || {
                    for number in 0..100 {
                        let attempt = ledger.invoke(format!("account/{thread}"), number.to_string(), json!({}));
                        ledger.answer(attempt, Outcome::Ok { version: number + 1 });
                    }
                });
            }
        });
        assert!(ledger.entries().is_sorted_by_key(|entry| entry.invoked));
        let versions = ledger.entries_of("account/2").into_iter().enumerate();
        for (index, entry) in versions {
            assert_eq!(entry.outcome, Outcome::Ok { version: index as u64 + 1 });
        }
    }

    #[test]
    fn what_is_on_disk_is_what_was_recorded() {
        let ledger = Ledger::new();
        for (number, outcome) in
            [Outcome::Ok { version: 3 }, Outcome::Refused { status: 422 }, Outcome::Unknown].into_iter().enumerate()
        {
            let attempt = ledger.invoke("account/1", format!("k{number}"), json!({"amount": number}));
            ledger.answer(attempt, outcome);
        }
        let _under_way = ledger.invoke("account/2", "k9", Value::Null);
        ledger.saw("account/1", ledger.now(), 3, json!({"balance": 7}));

        let path = ledger.path().to_owned();
        let cut_short = OpenAppend::to(&path);
        cut_short.write(r#"{"invoked":4,"at":12,"aggre"#);
        assert_eq!(Ledger::read(&path), (ledger.entries(), ledger.readings()));
        drop(ledger);
        assert!(!path.exists());
    }

    struct OpenAppend(fs::File);

    impl OpenAppend {
        fn to(path: &Path) -> Self {
            Self(fs::OpenOptions::new().append(true).open(path).unwrap())
        }

        fn write(mut self, text: &str) {
            std::io::Write::write_all(&mut self.0, text.as_bytes()).unwrap();
        }
    }

    #[test]
    fn the_ledger_of_a_failed_test_is_kept() {
        let path = thread::spawn(|| {
            let ledger = Ledger::new();
            std::panic::panic_any(ledger.path().to_owned());
        });
        // The ledger is dropped while its thread panics.
        let path = path.join().unwrap_err().downcast::<PathBuf>().unwrap();
        assert!(path.exists());
        fs::remove_file(*path).unwrap();
    }

    #[test]
    fn only_what_is_certain_is_believed() {
        let outcome =
            |status: u16, body: &str| Outcome::from(&Ok(Answer { status, headers: Vec::new(), body: body.into() }));
        assert_eq!(outcome(200, r#"{"version":7}"#), Outcome::Ok { version: 7 });
        assert_eq!(outcome(422, "{}"), Outcome::Refused { status: 422 });
        assert_eq!(outcome(429, "{}"), Outcome::Refused { status: 429 });
        assert_eq!(outcome(409, "{}"), Outcome::Unknown);
        assert_eq!(outcome(503, "{}"), Outcome::Unknown);
    }
}

//! The ledger on disk equals the ledger in memory, and only certain outcomes are recorded as certain.

use std::path::PathBuf;

use super::*;
use crate::Answer;

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
    // The thread panics, and drops the ledger.
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

//! A checker that finds nothing proves nothing. These tests have one history that keeps every promise, and break each
//! promise once.

use std::time::Duration;

use serde_json::{Value, json};

use super::stored::{Command, Event, Stored};
use super::*;

const AGGREGATE: &str = "inventory/tea";

/// Three deliveries of 5 pieces, with the keys `k1` to `k3`, one answered after the other, and a read after each.
fn kept() -> LedgerCheck {
    let at = Duration::from_secs;
    let entry = |number: u64| Entry {
        aggregate: AGGREGATE.to_owned(),
        key: format!("k{number}"),
        command: json!({"path": "/v1/inventory/tea/update-inventory", "body": {"change": 5}}),
        invoked: at(4 * number),
        answered: Some(at(4 * number + 1)),
        outcome: Outcome::Ok { version: number },
    };
    let reading = |number: u64| Reading {
        aggregate: AGGREGATE.to_owned(),
        invoked: at(4 * number + 2),
        answered: at(4 * number + 3),
        version: number,
        state: state(5 * number),
    };
    let event = |number: u64| Event {
        version: number,
        position: 10 * number,
        kind: "InventoryUpdated".to_owned(),
        data: json!({"change": 5}),
        command: Some(Command { key: format!("k{number}"), events: 1 }),
    };
    let stored = Stored { events: (1..=3).map(event).collect(), version: 3, state: state(15) };
    LedgerCheck {
        entries: (1..=3).map(entry).collect(),
        readings: (1..=3).map(reading).collect(),
        stored: BTreeMap::from([(AGGREGATE.to_owned(), Ok(stored))]),
        retried: vec![(entry(2), Outcome::Ok { version: 2 })],
        is_sole_writer: false,
        are_delivered: true,
    }
}

fn state(on_hand: u64) -> Value {
    json!({"on_hand": on_hand, "reserved": 0, "reservations": {}, "something": "that has no model"})
}

fn stored(check: &mut LedgerCheck) -> &mut Stored {
    check.stored.get_mut(AGGREGATE).unwrap().as_mut().unwrap()
}

/// The promises that are broken after `break_it` has changed the history.
#[track_caller]
fn broken(break_it: impl FnOnce(&mut LedgerCheck)) -> Vec<Promise> {
    let mut check = kept();
    break_it(&mut check);
    let mut broken: Vec<Promise> = check.findings().iter().map(|finding| finding.broken).collect();
    broken.sort();
    broken.dedup();
    broken
}

#[test]
fn a_history_that_keeps_every_promise_passes() {
    assert_eq!(kept().findings(), []);
    kept().expect_none();
}

#[test]
#[should_panic(expected = "nothing was acknowledged")]
fn a_run_without_acknowledgements_shows_nothing() {
    let mut check = kept();
    check.entries.clear();
    check.stored.clear();
    check.retried.clear();
    check.expect_none();
}

#[test]
fn a_lost_command_is_found() {
    let lost = broken(|check| {
        stored(check).events.pop();
        stored(check).version = 2;
        stored(check).state = state(10);
    });
    // The read of it was not true either.
    assert_eq!(lost, [Promise::AcknowledgedIsThere, Promise::ReadsAreTrue]);
}

#[test]
fn a_command_at_another_version_than_was_told_is_found() {
    let moved = broken(|check| {
        check.entries[2].outcome = Outcome::Ok { version: 4 };
        check.readings.pop();
    });
    assert_eq!(moved, [Promise::AcknowledgedIsThere]);
}

#[test]
fn a_command_that_happened_twice_is_found() {
    let twice = broken(|check| {
        check.readings.pop();
        check.entries.pop();
        stored(check).events[2].command = Some(Command { key: "k2".to_owned(), events: 1 });
    });
    assert!(twice.contains(&Promise::AtMostOnce), "{twice:?}");
}

#[test]
fn a_refused_command_that_happened_is_found() {
    let happened = broken(|check| check.entries[2].outcome = Outcome::Refused { status: 422 });
    assert_eq!(happened, [Promise::RefusedIsAbsent]);
}

#[test]
fn a_command_without_an_answer_may_have_happened_or_not() {
    let unknown = |check: &mut LedgerCheck| check.entries[2].outcome = Outcome::Unknown;
    assert_eq!(broken(unknown), []);
    let absent = broken(|check| {
        unknown(check);
        check.readings.pop();
        stored(check).events.pop();
        stored(check).version = 2;
        stored(check).state = state(10);
    });
    assert_eq!(absent, []);
}

#[test]
fn a_refusal_after_an_attempt_without_an_answer_says_nothing_about_that() {
    let retried = broken(|check| {
        let refused = Entry { outcome: Outcome::Refused { status: 422 }, ..check.entries[2].clone() };
        check.entries[2].outcome = Outcome::Unknown;
        check.entries.push(refused);
    });
    assert_eq!(retried, []);
}

#[test]
fn gaps_and_shared_positions_are_found() {
    assert_eq!(
        broken(|check| {
            stored(check).events.remove(1);
            check.entries.remove(1);
            check.readings.clear();
            stored(check).state = state(10);
        }),
        [Promise::HistoryIsDense]
    );
    assert_eq!(broken(|check| stored(check).events[1].position = 30), [Promise::HistoryIsDense]);
    let shared = broken(|check| {
        let other = check.stored[AGGREGATE].clone();
        check.stored.insert("unheard/of".to_owned(), other);
        let mut heard = check.entries[0].clone();
        heard.aggregate = "unheard/of".to_owned();
        check.entries.push(heard);
    });
    assert_eq!(shared, [Promise::HistoryIsDense]);
}

#[test]
fn messages_that_are_not_delivered_are_found() {
    assert_eq!(broken(|check| check.are_delivered = false), [Promise::MessagesArriveOnce]);
}

#[test]
fn positions_without_an_event_are_found_where_nobody_else_writes() {
    let alone = |last| {
        broken(|check| {
            check.is_sole_writer = true;
            for (event, position) in stored(check).events.iter_mut().zip([1, 2, last]) {
                event.position = position;
            }
        })
    };
    assert_eq!(alone(3), []);
    assert_eq!(alone(5), [Promise::HistoryIsDense]);
}

#[test]
fn an_order_against_that_of_the_answers_is_found() {
    let swapped = broken(|check| {
        check.readings.clear();
        for (entry, version) in [(1, 3), (2, 2)] {
            check.entries[entry].outcome = Outcome::Ok { version };
        }
        stored(check).events[1].command = Some(Command { key: "k3".to_owned(), events: 1 });
        stored(check).events[2].command = Some(Command { key: "k2".to_owned(), events: 1 });
        check.retried.clear();
    });
    assert_eq!(swapped, [Promise::AnsweredFirstCameFirst]);
}

#[test]
fn a_retry_that_gets_an_old_version_is_in_order() {
    let retried = broken(|check| {
        let again = Entry {
            invoked: Duration::from_secs(50),
            answered: Some(Duration::from_secs(51)),
            ..check.entries[0].clone()
        };
        check.entries.push(again);
    });
    assert_eq!(retried, []);
}

#[test]
fn a_stale_read_is_found() {
    let stale = broken(|check| {
        check.readings[2].version = 2;
        check.readings[2].state = state(10);
    });
    assert_eq!(stale, [Promise::ReadsAreFresh]);
    // A read that is older than another read is found too.
    let back = broken(|check| {
        check.entries[2].answered = Some(Duration::from_secs(60));
        let mut back = check.readings[1].clone();
        (back.invoked, back.answered) = (Duration::from_secs(20), Duration::from_secs(21));
        check.readings.push(back);
    });
    assert_eq!(back, [Promise::ReadsAreFresh]);
}

#[test]
fn a_read_of_what_never_was_is_found() {
    assert_eq!(broken(|check| check.readings[1].state = state(11)), [Promise::ReadsAreTrue]);
    assert_eq!(broken(|check| check.readings[2].version = 4), [Promise::ReadsAreTrue]);
}

#[test]
fn a_state_that_is_not_the_fold_is_found() {
    assert_eq!(broken(|check| stored(check).state = state(14)), [Promise::StateIsFold]);
    assert_eq!(broken(|check| stored(check).version = 2), [Promise::StateIsFold]);
    let impossible = broken(|check| stored(check).events[2].kind = "StockCommitted".to_owned());
    assert_eq!(impossible, [Promise::StateIsFold]);
}

#[test]
fn a_retry_with_another_outcome_is_found() {
    let again = |outcome| broken(|check| check.retried[0].1 = outcome);
    assert_eq!(again(Outcome::Ok { version: 4 }), [Promise::RetriesGetTheFirstOutcome]);
    assert_eq!(again(Outcome::Refused { status: 422 }), [Promise::RetriesGetTheFirstOutcome]);
}

#[test]
fn an_aggregate_that_cannot_be_read_is_found() {
    let unreadable = |check: &mut LedgerCheck| {
        check.stored.insert(AGGREGATE.to_owned(), Err("500".to_owned()));
    };
    assert_eq!(broken(unreadable), [Promise::Readable]);
}

/// 100,000 attempts at one aggregate: a check with quadratic time would not end.
#[test]
fn a_long_history_is_checked_in_no_time() {
    // Another test measures the memory of this process.
    let _alone = crate::alone();
    let mut check = kept();
    let long = 100_000;
    let (entry, event) = (check.entries[0].clone(), stored(&mut check).events[0].clone());
    check.entries = (1..=long)
        .map(|number| Entry {
            key: format!("k{number}"),
            invoked: Duration::from_secs(number),
            answered: Some(Duration::from_secs(number + 1)),
            outcome: Outcome::Ok { version: number },
            ..entry.clone()
        })
        .collect();
    let events = (1..=long).map(|number| Event {
        version: number,
        position: number,
        command: Some(Command { key: format!("k{number}"), events: 1 }),
        ..event.clone()
    });
    *stored(&mut check) = Stored { events: events.collect(), version: long, state: state(5 * long) };
    check.readings.clear();
    check.expect_none();
}

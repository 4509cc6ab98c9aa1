//! The check finds each broken promise: each test breaks one.

use serde_json::{Value, json};

use super::DeliveryCheck;
use crate::Promise;

/// The log, as `(aggregate, id, type, data)`: one transfer of each kind, an alarm, and two orders.
fn sound() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let started = |from: &str, to: &str, amount: u64| json!({"from": from, "to": to, "amount": amount});
    let moved = |transfer: &str| json!({"transfer": transfer, "amount": 3});
    let tea = json!({"sku": "tea", "quantity": 2});
    let pieces = |order: &str| json!({"order": order, "quantity": 4});
    let set = |setting: u64| json!({"name": "x", "setting": setting});
    vec![
        ("account", "a", "Funded", json!({"amount": 10})),
        ("account", "b", "Funded", json!({"amount": 1})),
        ("book", "a", "Entered", json!({"number": 1})),
        ("book", "b", "Entered", json!({"number": 1})),
        ("transfer", "good", "Started", started("a", "b", 3)),
        ("account", "a", "Withdrawn", moved("good")),
        ("book", "a", "Entered", json!({"number": 2})),
        ("transfer", "good", "Withdrawn", Value::Null),
        ("account", "b", "Deposited", moved("good")),
        ("book", "b", "Entered", json!({"number": 2})),
        ("transfer", "good", "Completed", Value::Null),
        ("transfer", "refused", "Started", started("a", "b", 99)),
        ("transfer", "refused", "Refused", json!({"code": "insufficient-funds"})),
        ("transfer", "back", "Started", started("a", "c", 3)),
        ("account", "a", "Withdrawn", moved("back")),
        ("transfer", "back", "Withdrawn", Value::Null),
        ("transfer", "back", "Rejected", json!({"code": "not-open"})),
        ("account", "a", "Deposited", moved("back")),
        ("transfer", "back", "Refunded", Value::Null),
        ("book", "a", "Entered", json!({"number": 3})),
        ("book", "a", "Entered", json!({"number": 4})),
        ("alarm", "c", "Set", set(1)),
        ("alarm", "c", "Set", set(2)),
        ("alarm", "c", "Rang", set(2)),
        ("alarm", "c", "Set", set(3)),
        ("alarm", "c", "Cancelled", json!({"name": "x"})),
        ("order", "sent", "OrderCreated", json!({"lines": [tea, tea]})),
        ("order", "sent", "OrderConfirmed", json!({"reserves": true})),
        ("inventory", "tea", "StockReserved", pieces("sent")),
        ("order", "sent", "LineReserved", json!({"sku": "tea"})),
        ("order", "sent", "StockReserved", json!({})),
        ("order", "sent", "OrderShipped", json!({})),
        ("inventory", "tea", "StockCommitted", pieces("sent")),
        ("order", "short", "OrderCreated", json!({"lines": [tea, {"sku": "cup", "quantity": 1}]})),
        ("order", "short", "LineAdded", tea.clone()),
        ("order", "short", "OrderConfirmed", json!({"reserves": true})),
        ("inventory", "tea", "StockReserved", pieces("short")),
        ("order", "short", "LineReserved", json!({"sku": "tea"})),
        ("order", "short", "OrderRejected", json!({"sku": "cup"})),
        ("inventory", "tea", "StockReleased", pieces("short")),
        ("inventory", "tea", "StockReserved", pieces("by hand")),
    ]
}

/// The effects of that log; those of `good` were repeated, and its second one failed at first.
const EFFECTS: [&str; 12] = [
    "k1 1 good 1 done",
    "k2 1 good 2 failed",
    "r1 1 refused 1 done",
    "k1 1 good 1 done",
    "k2 2 good 2 done",
    "k3 1 good 3 done",
    "k2 2 good 2 done",
    "r2 1 refused 2 done",
    "b1 1 back 1 done",
    "b2 1 back 2 done",
    "b3 1 back 3 done",
    "b4 1 back 4 done",
];

fn check(log: Vec<(&str, &str, &str, Value)>, effects: &[&str]) -> Vec<Promise> {
    let mut versions = std::collections::HashMap::new();
    let log: Vec<Value> = log
        .into_iter()
        .map(|(aggregate, id, name, data)| {
            let version = versions.entry((aggregate, id)).or_insert(0);
            *version += 1;
            json!({"aggregate": aggregate, "id": id, "type": name, "data": data, "version": version})
        })
        .collect();
    let mut broken: Vec<_> =
        DeliveryCheck::of(&log, &effects.join("\n")).findings().into_iter().map(|finding| finding.broken).collect();
    broken.sort_unstable();
    broken.dedup();
    broken
}

/// The promises that are broken if event `at` of the log is doubled, removed, or swapped with another one.
fn doubled(at: usize) -> Vec<Promise> {
    let mut log = sound();
    log.insert(at, log[at].clone());
    check(log, &EFFECTS)
}

fn without(at: usize) -> Vec<Promise> {
    let mut log = sound();
    log.remove(at);
    check(log, &EFFECTS)
}

fn swapped(one: usize, other: usize) -> Vec<Promise> {
    let mut log = sound();
    log.swap(one, other);
    check(log, &EFFECTS)
}

fn effects(change: impl FnOnce(&mut Vec<&str>)) -> Vec<Promise> {
    let mut effects = EFFECTS.to_vec();
    change(&mut effects);
    check(sound(), &effects)
}

#[test]
fn a_sound_log_has_no_findings() {
    assert_eq!(check(sound(), &EFFECTS), []);
}

#[test]
fn money_that_is_moved_twice_or_not_is_found() {
    assert!(doubled(5).contains(&Promise::MoneyIsConserved));
    assert!(doubled(5).contains(&Promise::MessagesArriveOnce));
    assert!(without(8).contains(&Promise::MoneyIsConserved));
}

#[test]
fn a_message_that_arrives_twice_or_never_is_found() {
    assert!(doubled(7).contains(&Promise::MessagesArriveOnce));
    assert_eq!(doubled(6), [Promise::MessagesArriveOnce]);
    assert_eq!(without(19), [Promise::MessagesArriveOnce]);
    assert!(without(12).contains(&Promise::MessagesArriveOnce));
}

#[test]
fn a_refusal_without_its_reason_is_found() {
    let mut log = sound();
    log[12].3 = json!({"code": ""});
    assert_eq!(check(log, &EFFECTS), [Promise::MessagesArriveOnce]);
}

#[test]
fn messages_in_another_order_are_found() {
    assert_eq!(swapped(19, 20), [Promise::SequencesKeepOrder]);
}

#[test]
fn an_effect_that_is_missing_or_never_succeeded_is_found() {
    assert_eq!(effects(|lines| _ = lines.remove(7)), [Promise::EffectsHappen]);
    assert_eq!(effects(|lines| lines[11] = "b4 1 back 4 failed"), [Promise::EffectsHappen]);
    assert_eq!(effects(|lines| lines.push("x 1 good 4 done")), [Promise::EffectsHappen]);
}

#[test]
fn an_effect_before_the_one_before_is_done_is_found() {
    assert_eq!(effects(|lines| lines.swap(4, 5)), [Promise::SequencesKeepOrder]);
    assert_eq!(effects(|lines| lines.swap(8, 9)), [Promise::SequencesKeepOrder]);
}

#[test]
fn another_key_at_another_attempt_is_found() {
    assert_eq!(effects(|lines| lines[4] = "k2b 2 good 2 done"), [Promise::EffectsHaveOneKey]);
    assert_eq!(effects(|lines| lines[8] = "k1 1 back 1 done"), [Promise::EffectsHaveOneKey]);
}

#[test]
fn a_timer_that_rings_twice_never_or_after_it_was_replaced_is_found() {
    assert_eq!(doubled(23), [Promise::TimersFireOnce]);
    assert_eq!(without(23), []);
    assert_eq!(without(25), [Promise::TimersFireOnce]);
    let mut log = sound();
    log[23].3 = json!({"name": "x", "setting": 1});
    assert_eq!(check(log, &EFFECTS), [Promise::TimersFireOnce]);
}

#[test]
fn stock_that_is_reserved_or_taken_out_twice_or_not_given_back_is_found() {
    for reserved in [28, 36] {
        assert_eq!(doubled(reserved), [Promise::StockIsConserved]);
    }
    assert_eq!(doubled(32), [Promise::StockIsConserved]);
    assert_eq!(without(32), [Promise::MessagesArriveOnce]);
    assert_eq!(doubled(39), [Promise::StockIsConserved]);
    assert_eq!(without(39), [Promise::MessagesArriveOnce]);
    let mut log = sound();
    log[28].3["quantity"] = json!(2);
    assert_eq!(check(log, &EFFECTS), [Promise::StockIsConserved]);
    let mut log = sound();
    log[40].3["order"] = json!("sent");
    assert_eq!(check(log, &EFFECTS), [Promise::StockIsConserved]);
}

#[test]
fn an_order_that_waits_for_ever_or_is_answered_twice_is_found() {
    let mut log = sound();
    log.drain(28..33);
    assert_eq!(check(log, &EFFECTS), [Promise::MessagesArriveOnce]);
    assert_eq!(doubled(29), [Promise::MessagesArriveOnce]);
}

//! Each transfer comes to one of its ends, and the accounts have moved the money once.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{DeliveryCheck, Histories, number, text};
use crate::Promise;

/// What can become of a transfer.
const ENDS: [&[&str]; 3] = [
    &["Started", "Withdrawn", "Completed"],
    &["Started", "Refused"],
    &["Started", "Withdrawn", "Rejected", "Refunded"],
];

/// The only reasons of the accounts.
const REFUSED: &str = "insufficient-funds";
const REJECTED: &str = "not-open";

/// An account's event, the account, and the amount.
type Move<'a> = (&'a str, &'a str, u64);

pub(super) fn check(accounts: &Histories<'_>, transfers: &Histories<'_>, check: &mut DeliveryCheck) {
    let mut moves: BTreeMap<&str, Vec<Move<'_>>> = BTreeMap::new();
    for (account, events) in accounts {
        for event in events {
            let (name, data) = (text(&event["type"]), &event["data"]);
            if name != "Funded" {
                let moved = (name, *account, number(&data["amount"]));
                moves.entry(text(&data["transfer"])).or_default().push(moved);
            }
        }
    }
    let missing = check.missing.len();
    for (id, events) in transfers {
        transfer(id, events, moves.remove(id).unwrap_or_default(), check);
    }
    for (id, moved) in moves {
        check.broken(Promise::MessagesArriveOnce, id, format!("it does not exist, and it has moved {moved:?}"));
    }
    let funded: i64 = accounts.values().flatten().filter(|event| event["type"] == "Funded").map(|it| amount(it)).sum();
    let balances: i64 = accounts.values().map(|events| balance(events)).sum();
    let is_complete = check.missing.len() == missing;
    if is_complete && balances != funded {
        check.broken(Promise::MoneyIsConserved, "account", format!("{funded} came in, and {balances} are there"));
    }
    check.transfers = transfers.len();
}

fn transfer(id: &str, events: &[&Value], mut moved: Vec<Move<'_>>, check: &mut DeliveryCheck) {
    let names: Vec<&str> = events.iter().map(|event| text(&event["type"])).collect();
    if !ENDS.iter().any(|end| end.starts_with(&names)) {
        check.broken(Promise::MessagesArriveOnce, id, format!("these events cannot happen together: {names:?}"));
        return;
    }
    for (event, code) in [("Refused", REFUSED), ("Rejected", REJECTED)] {
        for event in events.iter().filter(|it| it["type"] == event && it["data"]["code"] != code) {
            check.broken(Promise::MessagesArriveOnce, id, format!("it is not told why it was refused: {event}"));
        }
    }
    let data = &events[0]["data"];
    let (from, to, amount) = (text(&data["from"]), text(&data["to"]), number(&data["amount"]));
    let withdrawn = ("Withdrawn", from, amount);
    let mut expected = match *names.last().expect("a history has events") {
        "Completed" => vec![withdrawn, ("Deposited", to, amount)],
        "Refunded" => vec![withdrawn, ("Deposited", from, amount)],
        "Refused" => Vec::new(),
        last => {
            check.missing(Promise::MessagesArriveOnce, id, format!("nothing follows {last}; moved {moved:?}"));
            moved.sort_unstable();
            if moved.windows(2).any(|pair| pair[0] == pair[1]) {
                check.broken(Promise::MessagesArriveOnce, id, format!("moved twice: {moved:?}"));
            }
            return;
        }
    };
    moved.sort_unstable();
    expected.sort_unstable();
    if moved != expected {
        check.broken(
            Promise::MessagesArriveOnce,
            id,
            format!("{names:?} should have moved {expected:?}, not {moved:?}"),
        );
    }
}

pub(super) fn balance(events: &[&Value]) -> i64 {
    events.iter().map(|event| if event["type"] == "Withdrawn" { -amount(event) } else { amount(event) }).sum()
}

fn amount(event: &Value) -> i64 {
    number(&event["data"]["amount"]).try_into().expect("amounts are small")
}

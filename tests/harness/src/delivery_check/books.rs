//! The book of each account has its events, each once and in order.

use super::{DeliveryCheck, Histories, number};
use crate::Promise;

pub(super) fn check(accounts: &Histories<'_>, books: &Histories<'_>, check: &mut DeliveryCheck) {
    for (account, events) in accounts {
        let entries = books.get(account).map(Vec::as_slice).unwrap_or_default();
        let entries: Vec<u64> = entries.iter().map(|entry| number(&entry["data"]["number"])).collect();
        let expected: Vec<u64> = (1..=events.len() as u64).collect();
        if entries == expected {
            continue;
        }
        let mut sorted = entries.clone();
        sorted.sort_unstable();
        let seen = format!("its book has {} entries for {} events", entries.len(), expected.len());
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            check.broken(Promise::MessagesArriveOnce, account, format!("{seen}, and one of them twice"));
        } else if sorted != entries {
            let at = entries.windows(2).find(|pair| pair[0] > pair[1]);
            check.broken(Promise::SequencesKeepOrder, account, format!("{seen}, such as {at:?}"));
        } else {
            check.missing(Promise::MessagesArriveOnce, account, seen);
        }
    }
    for book in books.keys().filter(|book| !accounts.contains_key(*book)) {
        check.broken(Promise::MessagesArriveOnce, book, "there is a book, and no account");
    }
}

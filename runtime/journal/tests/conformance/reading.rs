//! Reading by aggregate and by position.

use dormouse_journal::{Anchor, Page, PageLimit, ReadError};
use dormouse_kernel::{Chain, Position, Version};

use crate::support::{History, PATIENCE, Place, account, whole_history};

on_every_store! {
    a_history_is_read_in_pages,
    an_unknown_aggregate_has_no_events,
    the_log_is_read_in_pages,
    an_acknowledged_append_is_seen_at_once,
    a_reader_beside_32_writers_sees_no_gap_and_no_event_appear_before_its_position,
    events_after_an_anchor_follow_it,
    a_wrong_anchor_is_damage,
    versions_have_the_order_of_the_aggregates_asked_for,
}

async fn a_history_is_read_in_pages(place: Place) {
    let journal = place.journal().await;
    let (mut mine, mut other) = (History::of("mine"), History::of("other"));
    for events in [1, 2, 3, 4] {
        journal.append(mine.next(events)).await.unwrap();
        journal.append(other.next(1)).await.unwrap();
    }
    let store = place.store().await;
    let whole = whole_history(&journal, &mine.aggregate).await;
    assert_eq!(whole.len(), 10);
    for after in 0..=11 {
        for limit in [0, 1, 3, 100, usize::MAX] {
            let page = store.read_aggregate(&mine.aggregate, Version(after), PageLimit::events(limit)).await.unwrap();
            let expected: Vec<_> = whole.iter().skip(after as usize).take(limit).cloned().collect();
            assert_eq!(page.events, expected, "after {after}, at most {limit}");
        }
    }
}

async fn an_unknown_aggregate_has_no_events(place: Place) {
    let journal = place.journal().await;
    journal.append(History::of("known").next(1)).await.unwrap();
    assert_eq!(whole_history(&journal, &account("unknown")).await, []);
}

async fn the_log_is_read_in_pages(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    for events in [4, 1, 3, 2] {
        journal.append(account.next(events)).await.unwrap();
    }
    for after in 0..=11 {
        for limit in [0, 1, 3, 100, usize::MAX] {
            let page = journal.read_log(Position(after), PageLimit::events(limit)).await.unwrap();
            let positions: Vec<u64> = page.iter().map(|event| event.position.0).collect();
            let expected: Vec<u64> = (after + 1..=10).take(limit).collect();
            assert_eq!(positions, expected, "after {after}, at most {limit}");
        }
    }
}

async fn an_acknowledged_append_is_seen_at_once(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    for _ in 0..50 {
        let before = account.anchor();
        let committed = journal.append(account.keyed(&account.version.to_string(), true, 1)).await.unwrap();
        let by_aggregate = journal.events_after(&account.aggregate, before, PageLimit::events(10)).await.unwrap();
        let by_position = journal.read_log(Position(committed.first.0 - 1), PageLimit::events(10)).await.unwrap();
        assert_eq!(by_aggregate, by_position);
        assert_eq!(by_aggregate.len(), 1);
        let key = crate::support::key(&before.version.to_string());
        assert_eq!(journal.find_command(&account.aggregate, &key).await, Ok(Some(committed.version)));
    }
}

async fn a_reader_beside_32_writers_sees_no_gap_and_no_event_appear_before_its_position(place: Place) {
    const WRITERS: u64 = 32;
    const APPENDS: u64 = 20;
    const EVENTS: u64 = WRITERS * APPENDS * 2;

    let journal = place.journal().await;
    let reader = tokio::spawn({
        let journal = journal.clone();
        async move {
            let mut seen = Vec::new();
            while (seen.len() as u64) < EVENTS {
                let page = journal.read_log(Position(seen.len() as u64), PageLimit::events(17)).await.unwrap();
                for event in page {
                    assert_eq!(event.position.0, seen.len() as u64 + 1);
                    seen.push(event);
                }
            }
            seen
        }
    });
    let writers = (0..WRITERS).map(|writer| {
        let journal = journal.clone();
        tokio::spawn(async move {
            let mut account = History::of(&writer.to_string());
            let mut last = Position(0);
            for appended in 0..APPENDS {
                let committed = journal.append(account.next(1 + (appended as usize % 3))).await.unwrap();
                assert!(committed.first > last);
                last = committed.last;
            }
            // 20 appends of 1, 2, 3, 1, … events are 39; one more makes it two each.
            journal.append(account.next(1)).await.unwrap();
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let seen = tokio::time::timeout(PATIENCE, reader).await.unwrap().unwrap();
    // The reader saw the log as it is now: no event was inserted before its position.
    assert_eq!(seen, crate::support::whole_log(&journal).await);
}

async fn events_after_an_anchor_follow_it(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    journal.append(account.next(3)).await.unwrap();
    let known = account.anchor();
    journal.append(account.next(2)).await.unwrap();
    let versions = |page: Page| -> Vec<u64> { page.iter().map(|event| event.version.0).collect() };
    let after = |anchor, limit| journal.events_after(&account.aggregate, anchor, PageLimit::events(limit));
    assert_eq!(versions(after(known, 10).await.unwrap()), [4, 5]);
    assert_eq!(versions(after(known, 1).await.unwrap()), [4]);
    assert_eq!(versions(after(Anchor::START, 2).await.unwrap()), [1, 2]);
    assert_eq!(versions(after(account.anchor(), 10).await.unwrap()), [0; 0]);
}

async fn a_wrong_anchor_is_damage(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    journal.append(account.next(3)).await.unwrap();
    let of_another_history = Anchor { version: Version(2), chain: Chain([7; 16]) };
    let past_the_end = Anchor { version: Version(9), chain: account.chain };
    for anchor in [of_another_history, past_the_end] {
        let read = journal.events_after(&account.aggregate, anchor, PageLimit::events(10)).await;
        let Err(ReadError::Damaged { aggregate, version, .. }) = read else { panic!("{read:?}") };
        assert_eq!((aggregate, version), (account.aggregate.clone(), anchor.version));
    }
}

async fn versions_have_the_order_of_the_aggregates_asked_for(place: Place) {
    let journal = place.journal().await;
    for (id, events) in ["a", "b", "c"].into_iter().zip(1..) {
        journal.append(History::of(id).next(events)).await.unwrap();
    }
    let store = place.store().await;
    let asked = ["c", "unknown", "a", "b", "c"].map(account);
    let versions: Vec<u64> = store.versions(&asked).await.unwrap().into_iter().map(|version| version.0).collect();
    assert_eq!(versions, [3, 0, 1, 2, 3]);
    assert_eq!(store.versions(&[]).await, Ok(vec![]));
}

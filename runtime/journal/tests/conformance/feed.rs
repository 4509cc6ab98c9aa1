//! Feeds: no event is skipped, none comes twice, and a slow feed delays no other.

use std::collections::HashMap;
use std::time::Duration;

use dormouse_journal::{Feed, Health, Journal, SharedReads};
use dormouse_kernel::{AggregateRef, Position, RecordedEvent, Version};
use tokio::time::timeout;

use crate::support::{History, PATIENCE, Place, becomes, submit_all, whole_log};

on_every_store! {
    a_feed_gives_the_old_events_and_then_the_new_ones,
    a_feed_begins_after_the_position_it_is_given,
    a_feed_waits_until_there_are_more_events,
    events_that_exist_come_without_waiting,
    events_that_are_not_wanted_are_passed_over_and_the_position_says_how_far,
    pages_of_a_feed_stay_within_its_bytes,
    events_that_are_not_known_to_be_durable_are_not_given,
    feeds_that_switch_between_memory_and_log_see_each_event_of_32_writers_once,
    a_feed_that_is_not_read_costs_the_writer_nothing,
    a_feed_gives_the_events_of_another_owner_too,
    a_feed_that_was_dropped_while_it_waited_has_lost_nothing,
    a_feed_of_a_closed_journal_ends_with_an_error,
}

async fn next(feed: &mut Feed, limit: usize) -> Vec<RecordedEvent> {
    timeout(PATIENCE, feed.next(limit)).await.expect("events come in time").unwrap()
}

/// Everything up to a position, each event once.
async fn follow(feed: &mut Feed, to: Position, limit: usize) -> Vec<RecordedEvent> {
    let mut seen: Vec<RecordedEvent> = Vec::new();
    while feed.position() < to {
        let before = feed.position();
        let events = next(feed, limit).await;
        assert!(!events.is_empty() && events.len() <= limit.max(1));
        assert!(events.iter().zip(before.0 + 1..).all(|(event, position)| event.position.0 == position));
        seen.extend(events);
    }
    seen
}

async fn append(journal: &Journal, history: &mut History, events: usize) {
    journal.append(history.next(events)).await.unwrap();
}

async fn a_feed_gives_the_old_events_and_then_the_new_ones(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    append(&journal, &mut account, 3).await;
    let mut feed = journal.feed(Position::ZERO);
    append(&journal, &mut account, 2).await;
    let mut seen = follow(&mut feed, Position(5), 2).await;
    append(&journal, &mut account, 4).await;
    seen.extend(follow(&mut feed, Position(9), 3).await);
    assert_eq!(seen, whole_log(&journal).await);
}

async fn a_feed_begins_after_the_position_it_is_given(place: Place) {
    let journal = place.journal().await;
    append(&journal, &mut History::of("a"), 5).await;
    for after in 0..5 {
        let mut feed = journal.feed(Position(after));
        assert_eq!(next(&mut feed, 1).await[0].position, Position(after + 1));
    }
    // A limit of zero counts as one: otherwise the feed would wait for ever.
    assert_eq!(next(&mut journal.feed(Position::ZERO), 0).await.len(), 1);
}

async fn a_feed_waits_until_there_are_more_events(place: Place) {
    let journal = place.journal().await;
    let mut feed = journal.feed(Position::ZERO);
    let waiting = tokio::spawn(async move { next(&mut feed, 10).await });
    append(&journal, &mut History::of("a"), 1).await;
    let seen = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(seen, whole_log(&journal).await);
}

async fn events_that_exist_come_without_waiting(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    let mut feed = journal.feed(Position::ZERO);
    assert_eq!(feed.ready(10).await.unwrap(), []);
    append(&journal, &mut account, 3).await;
    let mut seen = feed.ready(2).await.unwrap();
    seen.extend(feed.ready(2).await.unwrap());
    assert_eq!(seen, whole_log(&journal).await);
    assert_eq!(feed.ready(2).await.unwrap(), []);
    append(&journal, &mut account, 1).await;
    assert_eq!(next(&mut feed, 2).await[0].position, Position(4));
}

async fn events_that_are_not_wanted_are_passed_over_and_the_position_says_how_far(place: Place) {
    let journal = place.journal().await;
    let (mut one, mut other) = (History::of("one"), History::of("other"));
    let live = journal.feed(Position::ZERO);
    for _ in 0..5 {
        append(&journal, &mut one, 1).await;
        append(&journal, &mut other, 3).await;
    }
    // From memory, from the log, and from both.
    let later = place.journal().await;
    for mut feed in [live, later.feed(Position::ZERO)] {
        let mut seen = Vec::new();
        while feed.position() < Position(20) {
            let before = feed.position();
            seen.extend(feed.ready_where(3, |aggregate, _| aggregate.id.as_str() == "one").await.unwrap());
            assert!((1..=3).contains(&(feed.position().0 - before.0)), "{before}: {}", feed.position());
        }
        assert_eq!(seen.iter().map(|event| event.position.0).collect::<Vec<_>>(), [1, 5, 9, 13, 17]);
        assert_eq!(feed.ready_where(3, |_, _| true).await.unwrap(), []);
        assert_eq!(feed.position(), Position(20));
    }
}

async fn pages_of_a_feed_stay_within_its_bytes(place: Place) {
    let journal = place.journal().await;
    let live = journal.feed(Position::ZERO);
    append(&journal, &mut History::of("a"), 100).await;
    let event_bytes = whole_log(&journal).await[0].event.size_bytes();
    let later = place.journal().await;
    for feed in [live, later.feed(Position::ZERO)] {
        let mut feed = feed.page_bytes(event_bytes * 3);
        let mut seen = 0;
        while seen < 100 {
            let page = feed.ready(100).await.unwrap();
            let bytes: usize = page.iter().map(|event| event.event.size_bytes()).sum();
            assert!(!page.is_empty() && bytes <= event_bytes * 3, "{bytes} bytes for {} at most", event_bytes * 3);
            seen += page.len();
        }
    }
}

async fn events_that_are_not_known_to_be_durable_are_not_given(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    append(&journal, &mut account, 2).await;
    let mut feed = journal.feed(Position::ZERO);
    // The log has the events of another owner, but this journal does not know yet that they are durable.
    append(&place.journal().await, &mut account, 3).await;
    assert_eq!(feed.ready(10).await.unwrap().len(), 2);
    assert_eq!(feed.ready(10).await.unwrap(), []);
    assert_eq!(next(&mut feed, 10).await.len(), 3);
}

async fn feeds_that_switch_between_memory_and_log_see_each_event_of_32_writers_once(place: Place) {
    const WRITERS: u64 = 32;
    const APPENDS: u64 = 40;
    const LAST: Position = Position(WRITERS * APPENDS * 2);

    let journal = place.journal().await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let mut account = History::of(&writer.to_string());
                for appended in 0..APPENDS as usize {
                    append(&journal, &mut account, 1 + 2 * (appended % 2)).await;
                }
            })
        })
        .collect();
    let shared = SharedReads::default();
    let alone = [1, 3, 64, 1000].map(|limit| (limit, None));
    let together = [7, 7, 64, 64].map(|limit| (limit, Some(shared.clone())));
    let readers: Vec<_> = [alone, together]
        .concat()
        .into_iter()
        .map(|(limit, shared)| {
            let journal = journal.clone();
            let feed_behind = move |position| match &shared {
                Some(shared) => journal.feed(position).sharing(shared.clone()),
                None => journal.feed(position),
            };
            tokio::spawn(async move {
                let mut feed = feed_behind(Position::ZERO);
                let mut seen: Vec<RecordedEvent> = Vec::new();
                while feed.position() < LAST {
                    // A new feed now and then: the ring may not have the events after its position yet.
                    if seen.len() % 7 == 3 {
                        feed = feed_behind(feed.position());
                    }
                    let to = feed.position().next();
                    seen.extend(follow(&mut feed, to, limit).await);
                }
                seen
            })
        })
        .collect();
    for writer in writers {
        timeout(PATIENCE, writer).await.unwrap().unwrap();
    }
    let log = whole_log(&journal).await;
    assert_eq!(log.len() as u64, LAST.0);
    let mut versions: HashMap<AggregateRef, Version> = HashMap::new();
    for event in &log {
        let version = versions.entry(event.aggregate.clone()).or_default();
        *version = version.next();
        assert_eq!(event.version, *version);
    }
    for reader in readers {
        assert_eq!(timeout(PATIENCE, reader).await.unwrap().unwrap(), log);
    }
}

async fn a_feed_that_is_not_read_costs_the_writer_nothing(place: Place) {
    // More than the ring keeps, in batches of the largest size.
    const APPENDS: usize = 40;
    const EVENTS: usize = 1000;

    let journal = place.journal().await;
    let mut slow = journal.feed(Position::ZERO);
    let mut quick = journal.feed(Position::ZERO);
    let mut account = History::of("a");
    let last = Position((APPENDS * EVENTS) as u64);
    let reader = tokio::spawn(async move { follow(&mut quick, last, 5000).await.len() });
    let appends: Vec<_> = (0..APPENDS).map(|_| account.next(EVENTS)).collect();
    for outcome in submit_all(&journal, appends).await {
        outcome.unwrap();
    }
    assert_eq!(timeout(PATIENCE, reader).await.unwrap().unwrap(), APPENDS * EVENTS);
    // The ring does not have the first events any more; the log has them.
    assert_eq!(follow(&mut slow, last, 1000).await.len(), APPENDS * EVENTS);
}

async fn a_feed_gives_the_events_of_another_owner_too(place: Place) {
    let (first, mut account) = (place.journal().await, History::of("a"));
    append(&first, &mut account, 1).await;
    let mut feed = first.feed(Position::ZERO);
    assert_eq!(next(&mut feed, 10).await.len(), 1);
    let second = place.journal().await;
    append(&second, &mut account, 2).await;
    becomes(&first, |health| *health == Health::Fenced).await;
    append(&second, &mut account, 3).await;
    assert_eq!(follow(&mut feed, Position(6), 10).await, whole_log(&second).await[1..]);
}

async fn a_feed_that_was_dropped_while_it_waited_has_lost_nothing(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    let mut feed = journal.feed(Position::ZERO);
    let mut seen = Vec::new();
    while seen.len() < 60 {
        append(&journal, &mut account, 2).await;
        // The future may be at any point when the time is over.
        let patience = Duration::from_micros(seen.len() as u64 * 20);
        if let Ok(events) = timeout(patience, feed.next(3)).await {
            seen.extend(events.unwrap());
        }
    }
    let log = whole_log(&journal).await;
    assert_eq!(seen, log[..seen.len()]);
}

async fn a_feed_of_a_closed_journal_ends_with_an_error(place: Place) {
    let journal = place.journal().await;
    append(&journal, &mut History::of("a"), 1).await;
    let mut feed = journal.feed(Position::ZERO);
    assert_eq!(next(&mut feed, 10).await.len(), 1);
    journal.close().await;
    let end = timeout(PATIENCE, feed.next(10)).await.expect("it does not wait for ever");
    assert!(end.is_err(), "{end:?}");
}

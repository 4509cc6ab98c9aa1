//! Reads of the log through a filter.

use std::num::NonZeroU32;

use dormouse_journal::{CatchUps, Feed, Journal, LogFilter, PageLimit, Selected};
use dormouse_kernel::{Position, RecordedEvent};

use crate::support::{History, Place, aggregate, whole_log};

on_every_store! {
    a_filter_finds_its_events_page_by_page,
    events_that_do_not_meet_the_filter_take_no_room,
    a_filtered_read_covers_some_thousands_of_events_and_says_how_far_it_came,
    a_feed_with_a_filter_gives_its_events_from_the_log_and_from_memory,
    a_feed_waits_for_its_turn_to_read_the_log_but_not_for_events_in_memory,
}

fn filter(types: &[&str], events: &[&str]) -> LogFilter {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    LogFilter { types: owned(types), events: owned(events) }
}

fn history(aggregate_type: &str, id: &str) -> History {
    History::of_aggregate(aggregate(aggregate_type, id))
}

/// Events of two types of aggregates in alternation, of three types of events.
async fn fill(journal: &Journal) {
    let mut histories = ["account", "order"].map(|name| history(name, "a"));
    for number in 0..12 {
        let name = ["opened", "moved", "closed"][number % 3];
        journal.append(histories[number % 2].named(name)).await.unwrap();
    }
}

async fn a_filter_finds_its_events_page_by_page(place: Place) {
    let journal = place.journal().await;
    fill(&journal).await;
    let (log, head) = (whole_log(&journal).await, Position(12));
    for (types, events) in [
        (&["account"][..], &[][..]),
        (&[], &["opened"]),
        (&["order"], &["closed", "moved"]),
        (&["account", "order"], &["nothing", "opened"]),
        (&["nothing"], &[]),
        (&["it's", "a \"name\""], &["';--"]),
        (&[], &[]),
    ] {
        let filter = filter(types, events);
        let wanted = |event: &&RecordedEvent| filter.wants(&event.aggregate, &event.event);
        for limit in [PageLimit::events(1), PageLimit::events(3), PageLimit::events(100).bytes(1)] {
            for start in [0, 5, 12] {
                let (mut found, mut reached) = (Vec::new(), Position(start));
                while reached < head {
                    let page = journal.select_log(reached, head, &filter, limit).await.unwrap();
                    assert!(page.reached > reached, "{filter:?} {limit:?}");
                    (found, reached) = ([found, page.events].concat(), page.reached);
                }
                let expected: Vec<_> = log[start as usize..].iter().filter(wanted).cloned().collect();
                assert!(found == expected, "{filter:?} {limit:?} after {start}");
            }
        }
    }
    let none = journal.select_log(Position(3), Position(3), &filter(&[], &[]), PageLimit::ALL).await.unwrap();
    assert_eq!(none, Selected { events: Vec::new(), reached: Position(3) });
    let part = journal.select_log(Position(2), Position(4), &filter(&[], &[]), PageLimit::ALL).await.unwrap();
    assert_eq!((&part.events[..], part.reached), (&log[2..4], Position(4)));
}

async fn events_that_do_not_meet_the_filter_take_no_room(place: Place) {
    let journal = place.journal().await;
    let (mut large, mut small) = (history("large", "a"), history("small", "a"));
    for _ in 0..5 {
        journal.append(large.command(None, vec![vec![7; 300_000]])).await.unwrap();
        journal.append(small.command(None, vec![vec![8; 10]])).await.unwrap();
    }
    let limit = PageLimit::events(100).bytes(10_000).largest(10_000);
    let page = journal.select_log(Position::ZERO, Position(10), &filter(&["small"], &[]), limit).await.unwrap();
    assert_eq!((page.events.len(), page.reached), (5, Position(10)));
    // A wanted event that is too large stops the read before it.
    let page = journal.select_log(Position::ZERO, Position(10), &filter(&["large"], &[]), limit).await.unwrap();
    assert_eq!((page.events.len(), page.reached), (0, Position::ZERO));
}

async fn a_filtered_read_covers_some_thousands_of_events_and_says_how_far_it_came(place: Place) {
    let journal = place.journal().await;
    let mut common = history("common", "a");
    for _ in 0..10 {
        journal.append(common.next(1_000)).await.unwrap();
    }
    journal.append(history("rare", "a").next(1)).await.unwrap();
    let (rare, head) = (filter(&["rare"], &[]), Position(10_001));
    let first = journal.select_log(Position::ZERO, head, &rare, PageLimit::events(10)).await.unwrap();
    assert_eq!((first.events.len(), first.reached), (0, Position(8_192)));
    let second = journal.select_log(first.reached, head, &rare, PageLimit::events(10)).await.unwrap();
    assert_eq!((second.events.len(), second.reached), (1, head));
}

async fn take(feed: &mut Feed, wanted: &LogFilter, until: u64) -> Vec<u64> {
    let mut positions = Vec::new();
    while feed.position() < Position(until) {
        let events = feed.next_where(2, |aggregate, event| wanted.wants(aggregate, event)).await.unwrap();
        positions.extend(events.iter().map(|event| event.position.0));
    }
    positions
}

async fn a_feed_with_a_filter_gives_its_events_from_the_log_and_from_memory(place: Place) {
    let journal = place.journal().await;
    fill(&journal).await;
    let orders = filter(&["order"], &["opened", "closed"]);
    // There was no feed before, so these events come from the log.
    let mut feed = journal.feed(Position::ZERO).only(orders.clone());
    assert_eq!(take(&mut feed, &orders, 12).await, [4, 6, 10, 12]);
    let mut later = history("order", "later");
    for _ in 0..3 {
        journal.append(later.named("opened")).await.unwrap();
    }
    assert_eq!(take(&mut feed, &orders, 15).await, [13, 14, 15]);
}

async fn a_feed_waits_for_its_turn_to_read_the_log_but_not_for_events_in_memory(place: Place) {
    let journal = place.journal().await;
    let turns = CatchUps::new(NonZeroU32::MIN);
    let mut account = History::of("a");
    journal.append(account.next(3)).await.unwrap();
    let mut behind = journal.feed(Position::ZERO).in_turn(turns.clone());
    let mut live = journal.feed(Position(3)).in_turn(turns.clone());
    let turn = turns.turn().await;
    journal.append(account.next(1)).await.unwrap();
    assert_eq!(live.next(10).await.unwrap().len(), 1);
    let reading = tokio::spawn(async move { behind.next(10).await });
    // Long enough for the feed to read, if it did not wait.
    for _ in 0..100 {
        assert_eq!(journal.read_log(Position::ZERO, PageLimit::ALL).await.unwrap().len(), 4);
    }
    assert!(!reading.is_finished());
    drop(turn);
    assert_eq!(reading.await.unwrap().unwrap().len(), 4);
}

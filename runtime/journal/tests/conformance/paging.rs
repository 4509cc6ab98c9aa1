//! Pages stay within their bytes, whatever the sizes of the events.

use dormouse_journal::{Page, PageLimit};
use dormouse_kernel::{Position, RecordedEvent, Version};

use crate::support::{History, Place, whole_history, whole_log};

/// Sizes of payloads: small ones before large ones, the hardest order, and some around the size from which SQLite reads
/// an event by itself.
const PAYLOADS: [usize; 14] = [10, 20, 3_000, 100, 16_200, 16_384, 17_000, 1, 70_000, 300_000, 5, 30_000, 300_000, 300];

const BYTES: [usize; 7] = [0, 1, 1_000, 20_000, 100_000, 400_000, usize::MAX];

on_every_store! {
    a_page_ends_where_the_next_event_has_no_room,
    page_by_page_everything_is_read_once,
    an_event_before_the_page_takes_none_of_its_room,
    an_event_too_large_for_its_reader_is_not_read,
    histories_read_together_are_bounded_each_by_itself,
}

/// The expected events of a page, from all events.
fn expected(all: &[RecordedEvent], limit: PageLimit) -> &[RecordedEvent] {
    let mut bytes = 0_usize;
    let mut fits = |(number, event): (usize, &RecordedEvent)| {
        bytes = bytes.saturating_add(event.event.size_bytes());
        number < limit.events && (number == 0 || bytes <= limit.bytes)
    };
    &all[..all.iter().enumerate().take_while(|numbered| fits(*numbered)).count()]
}

fn check(page: &Page, all: &[RecordedEvent], limit: PageLimit) {
    let expected = expected(all, limit);
    assert_eq!(page.len(), expected.len(), "{limit:?}");
    assert!(page.events == expected, "{limit:?}: other events");
    assert!(page.is_cut || page.len() == all.len(), "{limit:?}: there are more events, and the page does not say so");
}

fn limits() -> impl Iterator<Item = PageLimit> {
    [1, 4, 100].into_iter().flat_map(|events| BYTES.map(|bytes| PageLimit::events(events).bytes(bytes)))
}

async fn a_page_ends_where_the_next_event_has_no_room(place: Place) {
    let journal = place.journal().await;
    let (mut one, mut other) = (History::of("one"), History::of("other"));
    for payload in PAYLOADS {
        journal.append(one.command(None, vec![vec![7; payload]])).await.unwrap();
        journal.append(other.command(None, vec![vec![8; payload]])).await.unwrap();
    }
    let (history, log) = (whole_history(&journal, &one.aggregate).await, whole_log(&journal).await);
    let store = place.store().await;
    for limit in limits() {
        // Events that are not indexed yet come from the tail of the owner.
        check(&journal.history(&one.aggregate, Version::ZERO, limit).await.unwrap(), &history, limit);
        for after in 0..=PAYLOADS.len() {
            let page = store.read_aggregate(&one.aggregate, Version(after as u64), limit).await.unwrap();
            check(&page, &history[after..], limit);
            let page = store.read_log(Position(2 * after as u64), limit).await.unwrap();
            check(&page, &log[2 * after..], limit);
        }
    }
}

async fn page_by_page_everything_is_read_once(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    journal.append(account.command(None, PAYLOADS.map(|payload| vec![7; payload]).to_vec())).await.unwrap();
    let all = whole_log(&journal).await;
    for limit in limits() {
        let (mut history, mut log): (Vec<RecordedEvent>, Vec<RecordedEvent>) = Default::default();
        let mut is_cut = true;
        while is_cut {
            let page = journal.history(&account.aggregate, Version(history.len() as u64), limit).await.unwrap();
            is_cut = page.is_cut;
            history.extend(page);
        }
        is_cut = true;
        while is_cut {
            let page = journal.read_log(Position(log.len() as u64), limit).await.unwrap();
            is_cut = page.is_cut;
            log.extend(page);
        }
        assert!(history == all && log == all, "{limit:?}");
    }
}

async fn an_event_too_large_for_its_reader_is_not_read(place: Place) {
    let journal = place.journal().await;
    let mut live = journal.feed(Position::ZERO).page_bytes(1_000);
    let mut account = History::of("a");
    for payload in [10, 20_000, 10] {
        journal.append(account.command(None, vec![vec![7; payload]])).await.unwrap();
    }
    let limit = PageLimit::events(10).bytes(1_000).largest(10_000);
    for (after, expected) in [(0, 1), (1, 0), (2, 1)] {
        let history = journal.history(&account.aggregate, Version(after), limit).await.unwrap();
        let log = journal.read_log(Position(after), limit).await.unwrap();
        assert_eq!((history.len(), history.is_cut), (expected, after < 2), "after {after}");
        assert_eq!((log.len(), log.is_cut), (expected, after < 2), "after {after}");
    }
    let mut later = place.journal().await.feed(Position::ZERO).page_bytes(1_000);
    for feed in [&mut live, &mut later] {
        feed.set_largest(10_000);
        assert_eq!(feed.ready(10).await.unwrap().len(), 1);
        assert_eq!(feed.ready(10).await.unwrap(), []);
        assert_eq!((feed.position(), feed.is_behind()), (Position(1), true));
        feed.set_largest(30_000);
        assert_eq!(feed.ready(10).await.unwrap().len(), 1);
        assert_eq!(feed.ready(10).await.unwrap().len(), 1);
        assert!(!feed.is_behind());
    }
}

async fn an_event_before_the_page_takes_none_of_its_room(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    journal.append(account.command(None, vec![vec![7; 1 << 20]])).await.unwrap();
    let anchor = account.anchor();
    journal.append(account.next(3)).await.unwrap();
    let limit = PageLimit::events(2).bytes(1_000);
    for page in [
        journal.events_after(&account.aggregate, anchor, limit).await.unwrap(),
        journal.history(&account.aggregate, anchor.version, limit).await.unwrap(),
    ] {
        assert_eq!(page.iter().map(|event| event.version.0).collect::<Vec<_>>(), [2, 3]);
        assert!(page.is_cut);
    }
}

async fn histories_read_together_are_bounded_each_by_itself(place: Place) {
    let journal = place.journal().await;
    let mut accounts: Vec<History> = (0..40).map(|number| History::of(&number.to_string())).collect();
    for (number, account) in accounts.iter_mut().enumerate() {
        let payloads = PAYLOADS.iter().cycle().skip(number).take(6).map(|payload| vec![7; *payload]);
        journal.append(account.command(None, payloads.collect())).await.unwrap();
    }
    drop(journal);
    let journal = place.journal().await;
    for limit in [PageLimit::events(5).bytes(30_000), PageLimit::events(100), PageLimit::ALL] {
        let reads = accounts.iter().map(|account| {
            let (journal, aggregate) = (journal.clone(), account.aggregate.clone());
            tokio::spawn(async move { journal.history(&aggregate, Version::ZERO, limit).await.unwrap() })
        });
        for (read, account) in reads.collect::<Vec<_>>().into_iter().zip(&accounts) {
            check(&read.await.unwrap(), &whole_history(&journal, &account.aggregate).await, limit);
        }
    }
}

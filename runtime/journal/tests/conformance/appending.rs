//! Versions, positions, sizes.

use dormouse_journal::{AppendError, Committed};
use dormouse_kernel::{Position, Version};

use crate::support::{History, Place, aggregate, submit_all, whole_history, whole_log};

on_every_store! {
    an_append_gets_the_next_versions_and_positions,
    an_expected_version_too_low_or_too_high_is_a_conflict,
    a_conflict_fails_only_its_own_command,
    of_concurrent_appends_at_one_version_exactly_one_wins,
    no_events_or_too_many_are_refused,
    an_append_of_1024_events_is_taken,
    events_are_read_as_they_were_written,
    unicode_ids_are_told_apart,
    types_and_ids_do_not_run_into_each_other,
    the_head_follows_the_commits,
}

async fn an_append_gets_the_next_versions_and_positions(place: Place) {
    let journal = place.journal().await;
    let (mut first, mut second) = (History::of("first"), History::of("second"));
    let answer =
        |first, last, version| Committed { first: Position(first), last: Position(last), version: Version(version) };
    assert_eq!(journal.append(first.next(2)).await, Ok(answer(1, 2, 2)));
    assert_eq!(journal.append(second.next(1)).await, Ok(answer(3, 3, 1)));
    assert_eq!(journal.append(first.next(3)).await, Ok(answer(4, 6, 5)));

    let versions: Vec<u64> = whole_log(&journal).await.iter().map(|event| event.version.0).collect();
    assert_eq!(versions, [1, 2, 1, 3, 4, 5]);
}

async fn an_expected_version_too_low_or_too_high_is_a_conflict(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    let behind = account.clone();
    journal.append(account.next(3)).await.unwrap();
    let mut ahead = account.clone();
    ahead.next(1);
    for mut wrong in [behind, ahead] {
        let expected = wrong.version;
        let conflict = AppendError::VersionConflict { expected, actual: Version(3) };
        assert_eq!(journal.append(wrong.next(1)).await, Err(conflict));
    }
    let mut unknown = History::of("unknown");
    unknown.next(1);
    let conflict = AppendError::VersionConflict { expected: Version(1), actual: Version(0) };
    assert_eq!(journal.append(unknown.next(1)).await, Err(conflict));
    assert_eq!(whole_log(&journal).await.len(), 3);
}

async fn a_conflict_fails_only_its_own_command(place: Place) {
    let journal = place.journal().await;
    let mut good: Vec<History> = (0..100).map(|id| History::of(&id.to_string())).collect();
    let mut appends = Vec::new();
    for history in &mut good {
        let mut stale = history.clone();
        appends.extend([history.next(1), stale.next(1), history.next(2)]);
    }
    let outcomes = submit_all(&journal, appends).await;
    for outcomes in outcomes.chunks(3) {
        let [first, stale, second] = outcomes else { panic!("three at a time") };
        assert_eq!(first.as_ref().unwrap().version, Version(1));
        let conflict = AppendError::VersionConflict { expected: Version(0), actual: Version(1) };
        assert_eq!(stale, &Err(conflict));
        assert_eq!(second.as_ref().unwrap().version, Version(3));
    }
    assert_eq!(whole_log(&journal).await.len(), 300);
    for history in good {
        assert_eq!(whole_history(&journal, &history.aggregate).await.len(), 3);
    }
}

async fn of_concurrent_appends_at_one_version_exactly_one_wins(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("contended");
    for version in 0..10 {
        let contenders = (0..8).map(|_| {
            let (journal, mut contender) = (journal.clone(), account.clone());
            tokio::spawn(async move {
                let append = contender.next(1);
                (journal.append(append).await, contender)
            })
        });
        let mut winners = Vec::new();
        for contender in contenders.collect::<Vec<_>>() {
            match contender.await.unwrap() {
                (Ok(_), winner) => winners.push(winner),
                (Err(AppendError::VersionConflict { .. }), _) => {}
                (Err(error), _) => panic!("{error}"),
            }
        }
        assert_eq!(winners.len(), 1, "version {version}");
        account = winners.remove(0);
    }
    assert_eq!(whole_history(&journal, &account.aggregate).await.len(), 10);
}

async fn no_events_or_too_many_are_refused(place: Place) {
    let journal = place.journal().await;
    for events in [0, 1025] {
        let refused = AppendError::WrongSize { events, limit: 1024 };
        assert_eq!(journal.append(History::of("a").next(events)).await, Err(refused));
    }
    assert_eq!(whole_log(&journal).await, []);
}

async fn an_append_of_1024_events_is_taken(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    journal.append(account.next(1)).await.unwrap();
    let committed = journal.append(account.next(1024)).await.unwrap();
    assert_eq!(committed, Committed { first: Position(2), last: Position(1025), version: Version(1025) });
    assert_eq!(whole_history(&journal, &account.aggregate).await.len(), 1025);
}

async fn events_are_read_as_they_were_written(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    let mebibyte: Vec<u8> = (0..1 << 20).map(|byte: u32| byte.to_le_bytes()[0]).collect();
    let append = account.command(None, vec![Vec::new(), mebibyte, vec![0, 255, 0]]);
    journal.append(append.clone()).await.unwrap();
    let read = whole_log(&journal).await;
    let events: Vec<_> = read.iter().map(|event| event.event.clone()).collect();
    assert!(events == append.events);
    assert!(read == whole_history(&journal, &account.aggregate).await);
}

async fn unicode_ids_are_told_apart(place: Place) {
    let journal = place.journal().await;
    // Some collations take these for equal: case, composed and decomposed accents, trailing spaces, widths.
    let ids =
        ["straße", "strasse", "STRASSE", "é", "e\u{301}", "e", "日本", "ﾆﾎﾝ", "🐭", "a", "a ", "A", "%", "_", "'\"\\"];
    for (id, events) in ids.iter().zip(1..) {
        journal.append(History::of(id).next(events)).await.unwrap();
    }
    let longest = "𝔘".repeat(128);
    journal.append(History::of(&longest).keyed(&"k".repeat(128), false, 1)).await.unwrap();
    for (id, events) in ids.iter().zip(1..) {
        let history = whole_history(&journal, &History::of(id).aggregate).await;
        assert_eq!(history.len(), events, "{id:?}");
        assert!(history.iter().all(|event| event.aggregate.id.as_str() == *id));
    }
    assert_eq!(whole_history(&journal, &History::of(&longest).aggregate).await.len(), 1);
}

async fn types_and_ids_do_not_run_into_each_other(place: Place) {
    let journal = place.journal().await;
    let mut neighbours =
        [aggregate("order", "s-1"), aggregate("orders", "-1"), aggregate("order-s", "1")].map(History::of_aggregate);
    for (neighbour, events) in neighbours.iter_mut().zip(1..) {
        journal.append(neighbour.keyed("same", false, events)).await.unwrap();
    }
    for (neighbour, events) in neighbours.iter().zip(1..) {
        assert_eq!(whole_history(&journal, &neighbour.aggregate).await.len(), events);
    }
}

async fn the_head_follows_the_commits(place: Place) {
    let journal = place.journal().await;
    let mut head = journal.head();
    assert_eq!(*head.borrow_and_update(), Position(0));
    assert_eq!(journal.ping().await, Ok(Position(0)));
    journal.append(History::of("a").next(7)).await.unwrap();
    assert_eq!(*head.borrow_and_update(), Position(7));
    assert_eq!(journal.ping().await, Ok(Position(7)));
}

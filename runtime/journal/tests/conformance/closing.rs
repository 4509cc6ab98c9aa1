//! Closing a journal, and opening it again.

use dormouse_faults::Faulty;
use dormouse_journal::{AppendError, CommitError, Health, PageLimit};
use dormouse_kernel::{Epoch, Position, Version};

use crate::support::{History, PATIENCE, Place, account, key, start, submit, whole_history, whole_log};

on_every_store! {
    a_close_finishes_what_was_submitted,
    a_closed_journal_takes_no_appends,
    a_closed_store_refuses_reads_and_commits,
    a_journal_without_handles_ends;
    durable:
    everything_is_there_after_a_close,
    everything_is_there_without_a_close,
    keys_are_known_after_reopening,
}

async fn a_close_finishes_what_was_submitted(place: Place) {
    let store = Faulty::over(place.store().await);
    let journal = start(store.clone()).await;
    let held = store.hold_commits();
    let mut answers = Vec::new();
    for id in 0..100 {
        answers.push(submit(&journal, History::of(&id.to_string()).next(1)).await);
    }
    let closing = tokio::spawn({
        let journal = journal.clone();
        async move { journal.close().await }
    });
    drop(held);
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    closing.await.unwrap();
    assert_eq!(store.batches().iter().sum::<usize>(), 100);
}

async fn a_closed_journal_takes_no_appends(place: Place) {
    let journal = place.journal().await;
    journal.close().await;
    assert_eq!(journal.append(History::of("a").next(1)).await, Err(AppendError::Closed));
    assert_eq!(*journal.health().borrow(), Health::Closed);
    journal.flush().await;
    journal.close().await;
}

async fn a_closed_store_refuses_reads_and_commits(place: Place) {
    let store = place.store().await;
    store.close().await;
    store.read_log(Position::ZERO, PageLimit::ONE).await.unwrap_err();
    store.read_aggregate(&account("a"), Version::ZERO, PageLimit::ONE).await.unwrap_err();
    store.acquire(None).await.unwrap_err();
    let batch =
        [dormouse_journal::store::Placed { first: Position(1), append: std::sync::Arc::new(History::of("a").next(1)) }];
    let refused = store.commit(Epoch(1), &batch).await;
    assert!(matches!(refused, Err(CommitError::Refused(_))), "{refused:?}");
}

async fn a_journal_without_handles_ends(place: Place) {
    let journal = place.journal().await;
    let answer = submit(&journal, History::of("a").next(1)).await;
    let mut health = journal.health();
    drop(journal);
    answer.await.unwrap().unwrap();
    let ended = health.wait_for(|health| *health == Health::Closed);
    tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap();
}

async fn everything_is_there_after_a_close(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    journal.append(account.next(1000)).await.unwrap();
    journal.append(account.next(10)).await.unwrap();
    let written = whole_log(&journal).await;
    journal.close().await;

    let journal = place.journal().await;
    assert_eq!(*journal.head().borrow(), Position(1010));
    assert_eq!(whole_log(&journal).await, written);
    assert_eq!(whole_history(&journal, &account.aggregate).await, written);
    assert_eq!(journal.append(account.next(1)).await.unwrap().first, Position(1011));
}

async fn everything_is_there_without_a_close(place: Place) {
    let mut accounts: Vec<History> = (0..20).map(|id| History::of(&id.to_string())).collect();
    let mut written = 0;
    for _ in 0..5 {
        let journal = place.journal().await;
        assert_eq!(whole_log(&journal).await.len(), written);
        for account in &mut accounts {
            journal.append(account.next(2)).await.unwrap();
            written += 2;
        }
        drop(journal);
    }
    let journal = place.journal().await;
    for account in accounts {
        let last = whole_history(&journal, &account.aggregate).await.pop().unwrap();
        assert_eq!(last.event.chain, account.chain);
    }
}

async fn keys_are_known_after_reopening(place: Place) {
    let mut account = History::of("a");
    for close in [true, false] {
        let name = format!("closed:{close}");
        let journal = place.journal().await;
        let first = journal.append(account.keyed(&name, false, 2)).await.unwrap().version.0 - 1;
        if close {
            journal.close().await;
        }
        drop(journal);
        let journal = place.journal().await;
        let refused = journal.append(account.clone().keyed(&name, false, 1)).await;
        assert_eq!(refused, Err(AppendError::KnownKey { first: Version(first) }));
        assert_eq!(journal.find_command(&account.aggregate, &key(&name)).await, Ok(Some(Version(first))));
    }
}

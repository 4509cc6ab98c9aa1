//! Epochs: only the last owner may append.

use std::sync::Arc;

use dormouse_journal::store::Placed;
use dormouse_journal::{AppendError, CommitError, Health, Page, PageLimit, Store, StoreError};
use dormouse_kernel::{Epoch, Position};

use crate::support::{History, Place, becomes, submit_all, whole_history, whole_log};

on_every_store! {
    every_acquisition_has_a_greater_epoch_and_knows_the_head,
    only_the_epoch_in_force_can_be_confirmed,
    a_commit_of_an_earlier_epoch_changes_nothing,
    a_commit_races_a_takeover_and_either_counts_or_never_happens,
    a_second_journal_takes_over,
    an_idle_owner_notices_that_it_was_taken_over,
    a_takeover_under_load_loses_nothing,
}

fn placed(first: u64, history: &mut History, events: usize) -> Placed {
    Placed { first: Position(first), append: Arc::new(history.next(events)) }
}

async fn every_acquisition_has_a_greater_epoch_and_knows_the_head(place: Place) {
    let store = place.store().await;
    let mut account = History::of("a");
    let mut last = Epoch::ZERO;
    for takeover in 0..3 {
        let ownership = place.store().await.acquire(None).await.unwrap();
        assert!(ownership.epoch > last);
        assert_eq!(ownership.head, Position(takeover * 2));
        last = store.acquire(Some(ownership.epoch)).await.unwrap().epoch;
        assert!(last > ownership.epoch);
        let batch = [placed(takeover * 2 + 1, &mut account, 2)];
        store.commit(last, &batch).await.unwrap();
        assert_eq!(store.head().await, Ok(Position(takeover * 2 + 2)));
    }
}

async fn only_the_epoch_in_force_can_be_confirmed(place: Place) {
    let store = place.store().await;
    let first = store.acquire(None).await.unwrap().epoch;
    let second = store.acquire(None).await.unwrap().epoch;
    assert_eq!(store.acquire(Some(first)).await, Err(StoreError::Fenced));
    assert_eq!(store.acquire(Some(second.next())).await, Err(StoreError::Fenced));
    store.acquire(Some(second)).await.unwrap();
    assert_eq!(store.acquire(Some(second)).await, Err(StoreError::Fenced));
}

async fn a_commit_of_an_earlier_epoch_changes_nothing(place: Place) {
    let store = place.store().await;
    let first = store.acquire(None).await.unwrap().epoch;
    let second = store.acquire(None).await.unwrap().epoch;
    let mut account = History::of("a");
    let batch = [placed(1, &mut account, 2), placed(3, &mut account, 1)];
    assert_eq!(store.commit(first, &batch).await, Err(CommitError::Fenced));
    assert_eq!(store.head().await, Ok(Position(0)));
    assert_eq!(store.read_log(Position(0), PageLimit::events(10)).await, Ok(Page::default()));
    store.commit(second, &batch).await.unwrap();
    assert_eq!(store.head().await, Ok(Position(3)));
}

async fn a_commit_races_a_takeover_and_either_counts_or_never_happens(place: Place) {
    let (old, new) = (place.store().await, place.store().await);
    let mut account = History::of("a");
    for _ in 0..50 {
        let owner = old.acquire(None).await.unwrap();
        let before = account.clone();
        let batch = [placed(owner.head.0 + 1, &mut account, 3)];
        let commit = tokio::spawn({
            let old = Arc::clone(&old);
            async move { old.commit(owner.epoch, &batch).await }
        });
        let head = take_over(&*new).await;
        let committed = commit.await.unwrap();
        let log = new.read_log(Position::ZERO, PageLimit::ALL).await.unwrap();
        assert_eq!(log.len() as u64, head.0, "the log is what the takeover saw");
        assert_eq!(new.head().await, Ok(head));
        match committed {
            Ok(()) => assert_eq!(head, owner.head.plus(3)),
            Err(CommitError::Fenced) => {
                assert_eq!(head, owner.head);
                account = before;
            }
            // A takeover that waited for long ended the session of the commit. It may have happened or not.
            Err(CommitError::Unknown(_)) if head == owner.head => account = before,
            Err(CommitError::Unknown(_)) => assert_eq!(head, owner.head.plus(3)),
            Err(error) => panic!("{error}"),
        }
    }
}

async fn take_over(store: &dyn Store) -> Position {
    store.acquire(None).await.unwrap().head
}

async fn a_second_journal_takes_over(place: Place) {
    let first = place.journal().await;
    let mut account = History::of("a");
    first.append(account.next(2)).await.unwrap();

    let second = place.journal().await;
    assert_eq!(*second.head().borrow(), Position(2));
    assert_eq!(first.append(account.clone().next(1)).await, Err(AppendError::Fenced));
    becomes(&first, |health| *health == Health::Fenced).await;
    assert_eq!(first.append(account.clone().next(1)).await, Err(AppendError::Fenced));
    first.flush().await;

    assert_eq!(second.append(account.next(1)).await.unwrap().first, Position(3));
    assert_eq!(whole_history(&second, &account.aggregate).await.len(), 3);
    // A former owner can still read.
    assert_eq!(whole_log(&first).await.len(), 3);
    assert_eq!(*second.health().borrow(), Health::Ready);
}

async fn an_idle_owner_notices_that_it_was_taken_over(place: Place) {
    let first = place.journal().await;
    let second = place.journal().await;
    // It submits nothing: without its own check it would show a stale state for ever.
    becomes(&first, |health| *health == Health::Fenced).await;
    assert_eq!(*second.health().borrow(), Health::Ready);
}

async fn a_takeover_under_load_loses_nothing(place: Place) {
    let first = place.journal().await;
    let mut account = History::of("a");
    let appends: Vec<_> = (0..300).map(|_| account.next(1)).collect();
    let load = tokio::spawn({
        let first = first.clone();
        async move { submit_all(&first, appends).await }
    });
    let mut head = first.head();
    head.wait_for(|head| head.0 > 0).await.unwrap();
    let second = place.journal().await;
    let taken_over_at = *second.head().borrow();
    // The queue of the first journal was long enough, so all appends were submitted and answered.
    let outcomes = load.await.unwrap();
    let acknowledged = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(acknowledged as u64, taken_over_at.0);
    assert!(outcomes[acknowledged..].iter().all(|outcome| *outcome == Err(AppendError::Fenced)));
    assert_eq!(whole_log(&second).await.len(), acknowledged);
}

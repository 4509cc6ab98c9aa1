//! Errors of a store: every answer is true, and every append is in the log once or not at all.

use std::sync::Arc;

use dormouse_faults::{Fault, Faulty};
use dormouse_journal::{AppendError, AppendSession, Health, Journal};
use dormouse_kernel::{Position, Version};

use crate::support::{History, Place, becomes, start, submit, whole_history, whole_log};

on_every_store! {
    an_unknown_outcome_is_resolved,
    an_unknown_outcome_of_a_whole_batch_is_resolved,
    an_unknown_outcome_waits_for_a_store_that_does_not_answer,
    submissions_are_answered_while_an_outcome_is_unknown,
    a_batch_that_fails_again_and_again_is_refused,
    an_unknown_outcome_is_resolved_even_after_a_takeover,
    an_unavailable_store_fails_appends_until_it_is_back,
    an_idle_journal_recovers,
    a_refused_commit_is_not_in_the_log,
}

async fn faulty(place: &Place) -> (Arc<Faulty>, Journal) {
    let store = Faulty::over(place.store().await);
    let journal = start(store.clone()).await;
    (store, journal)
}

async fn an_unknown_outcome_is_resolved(place: Place) {
    let (store, journal) = faulty(&place).await;
    let mut account = History::of("a");
    for (committed, position) in [(true, 1), (false, 2), (true, 3), (false, 4)] {
        store.script([Fault::Lost { committed }]);
        let append = account.keyed(&position.to_string(), false, 1);
        assert_eq!(journal.append(append).await.unwrap().first, Position(position));
    }
    assert_eq!(whole_history(&journal, &account.aggregate).await, whole_log(&journal).await);
    assert_eq!(whole_log(&journal).await.len(), 4);
    assert_eq!(*journal.health().borrow(), Health::Ready);
}

async fn an_unknown_outcome_of_a_whole_batch_is_resolved(place: Place) {
    for committed in [true, false] {
        let place = match &place {
            Place::Memory(_) => Place::memory(),
            Place::Sqlite(_) => Place::sqlite(),
            Place::Postgres(_) => Place::postgres(),
        };
        let (store, journal) = faulty(&place).await;
        let held = store.hold_commits();
        let mut answers = vec![submit(&journal, History::of("first").next(1)).await];
        store.commit_arrives().await;
        for id in 0..100 {
            answers.push(submit(&journal, History::of(&id.to_string()).next(2)).await);
        }
        store.script([Fault::Lost { committed }, Fault::Lost { committed }]);
        drop(held);
        let mut next = Position(1);
        for answer in answers {
            let answer = answer.await.unwrap().unwrap();
            assert_eq!(answer.first, next);
            next = answer.last.next();
        }
        assert_eq!(whole_log(&journal).await.len(), 201);
    }
}

async fn an_unknown_outcome_waits_for_a_store_that_does_not_answer(place: Place) {
    let (store, journal) = faulty(&place).await;
    let mut account = History::of("a");
    for committed in [true, false] {
        store.script([Fault::Lost { committed }]);
        store.fail_acquisitions(3);
        journal.append(account.next(1)).await.unwrap();
    }
    assert_eq!(whole_history(&journal, &account.aggregate).await.len(), 2);
    assert_eq!(*journal.health().borrow(), Health::Ready);
}

async fn submissions_are_answered_while_an_outcome_is_unknown(place: Place) {
    let (store, journal) = faulty(&place).await;
    store.script([Fault::Lost { committed: true }]);
    store.fail_acquisitions(usize::MAX);
    let open = submit(&journal, History::of("open").next(1)).await;
    becomes(&journal, |health| matches!(health, Health::Recovering(_))).await;
    let mut other = History::of("other");
    let refused = journal.append(other.clone().next(1)).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    // A barrier of another append session does not wait for the unknown commit.
    journal.flush_session(&Arc::new(AppendSession::new(Version::ZERO))).await;
    store.fail_acquisitions(0);
    assert_eq!(open.await.unwrap().unwrap().first, Position(1));
    assert_eq!(journal.append(other.next(1)).await.unwrap().first, Position(2));
}

async fn a_batch_that_fails_again_and_again_is_refused(place: Place) {
    let (store, journal) = faulty(&place).await;
    store.script([Fault::Lost { committed: false }; 3]);
    let mut account = History::of("a");
    let refused = journal.append(account.clone().next(1)).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert_eq!(whole_log(&journal).await, []);
    becomes(&journal, |health| *health == Health::Ready).await;
    journal.append(account.next(1)).await.unwrap();
}

async fn an_unknown_outcome_is_resolved_even_after_a_takeover(place: Place) {
    for committed in [true, false] {
        let (store, journal) = faulty(&place).await;
        let before = whole_log(&journal).await.len();
        store.script([Fault::TakenOver { committed }]);
        let mut account = History::of(&format!("committed: {committed}"));
        let outcome = journal.append(account.next(1)).await;
        if committed {
            outcome.unwrap();
        } else {
            assert_eq!(outcome, Err(AppendError::Fenced));
        }
        becomes(&journal, |health| *health == Health::Fenced).await;
        assert_eq!(journal.append(account.next(1)).await, Err(AppendError::Fenced));
        assert_eq!(whole_log(&journal).await.len(), before + usize::from(committed));
    }
}

async fn an_unavailable_store_fails_appends_until_it_is_back(place: Place) {
    let (store, journal) = faulty(&place).await;
    let mut account = History::of("a");
    journal.append(account.next(1)).await.unwrap();
    store.go_down();
    for _ in 0..3 {
        let refused = journal.append(account.clone().next(1)).await;
        assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
        assert!(matches!(*journal.health().borrow(), Health::Recovering(_)));
    }
    journal.ping().await.unwrap_err();
    store.come_back();
    becomes(&journal, |health| *health == Health::Ready).await;
    journal.append(account.next(1)).await.unwrap();
    assert_eq!(whole_history(&journal, &account.aggregate).await.len(), 2);
}

async fn an_idle_journal_recovers(place: Place) {
    let (store, journal) = faulty(&place).await;
    store.script([Fault::Refused]);
    store.fail_acquisitions(2);
    journal.append(History::of("a").next(1)).await.unwrap_err();
    becomes(&journal, |health| *health == Health::Ready).await;
}

async fn a_refused_commit_is_not_in_the_log(place: Place) {
    let (store, journal) = faulty(&place).await;
    let mut account = History::of("a");
    store.script([Fault::Refused]);
    let refused = journal.append(account.clone().keyed("pay", false, 2)).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert_eq!(whole_log(&journal).await, []);
    becomes(&journal, |health| *health == Health::Ready).await;
    assert_eq!(journal.append(account.keyed("pay", false, 1)).await.unwrap().first, Position(1));
}

//! Group commit: submissions during a commit make up the next one.

use dormouse_faults::Faulty;
use dormouse_kernel::Position;

use crate::support::{History, Place, start, submit, submit_all, whole_log};

on_every_store! {
    submissions_during_a_commit_make_up_the_next,
    a_batch_holds_no_more_than_1024_events,
    appends_are_committed_in_the_order_of_submission,
}

async fn submissions_during_a_commit_make_up_the_next(place: Place) {
    let store = Faulty::over(place.store().await);
    let journal = start(store.clone()).await;
    let held = store.hold_commits();
    let mut answers = vec![submit(&journal, History::of("first").next(1)).await];
    store.commit_arrives().await;
    for id in 0..1000 {
        answers.push(submit(&journal, History::of(&id.to_string()).next(1)).await);
    }
    drop(held);
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(store.batches(), [1, 1000]);
}

async fn a_batch_holds_no_more_than_1024_events(place: Place) {
    let store = Faulty::over(place.store().await);
    let journal = start(store.clone()).await;
    let held = store.hold_commits();
    let first = submit(&journal, History::of("first").next(1)).await;
    store.commit_arrives().await;
    let appends: Vec<_> = (0..5).map(|id| History::of(&id.to_string()).next(500)).collect();
    let mut answers = vec![first];
    for append in appends {
        answers.push(submit(&journal, append).await);
    }
    drop(held);
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(store.batches(), [1, 2, 2, 1]);
    assert_eq!(whole_log(&journal).await.len(), 2501);
}

async fn appends_are_committed_in_the_order_of_submission(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("pipelined");
    let appends: Vec<_> = (0..500).map(|_| account.next(1)).collect();
    let outcomes = submit_all(&journal, appends).await;
    for (outcome, position) in outcomes.into_iter().zip(1..) {
        assert_eq!(outcome.unwrap().first, Position(position));
    }
}

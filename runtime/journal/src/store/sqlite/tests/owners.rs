//! Several stores on one directory.

use super::*;
use crate::error::{CommitError, StoreError};
use crate::page::PageLimit;

#[tokio::test]
async fn the_second_owner_fences_the_first() {
    let place = Place::new();
    let mut first = place.owner().await;
    first.append_to_each(20, 2).await;
    let mut second = place.owner().await;
    assert!(second.epoch > first.epoch);
    assert_eq!(second.head, first.head);
    assert_histories(&second.store, 20, 2).await;
    assert_eq!(first.append(&[(0, 1)]).await, Err(CommitError::Fenced));
    second.append_to_each(20, 1).await;
    assert_eq!(first.append(&[(0, 1)]).await, Err(CommitError::Fenced));
    assert_eq!(first.store.acquire(Some(first.epoch)).await, Err(StoreError::Fenced));
    // An owner that knows that it was fenced sees the events of the other.
    assert_histories(&first.store, 20, 3).await;
    first.store.close().await;
    second.append_to_each(20, 1).await;
    assert_histories(&second.store, 20, 4).await;
    second.store.close().await;
    assert_histories(&place.owner().await.store, 20, 4).await;
}

#[tokio::test]
async fn a_former_owner_that_indexes_what_it_committed_does_no_harm() {
    let place = Place::new();
    let mut first = place.owner().await;
    first.append_to_each(50, 2).await;
    let mut second = place.owner().await;
    second.append_to_each(50, 2).await;
    // It does not know yet that it was fenced.
    first.store.close().await;
    assert_eq!(place.ask("index.db", "SELECT position FROM watermark").await, 100);
    assert_histories(&second.store, 50, 4).await;
    second.append_to_each(50, 1).await;
    second.store.close().await;
    assert_eq!(place.ask("index.db", "SELECT count(*) FROM event_index").await, 250);
}

#[tokio::test]
async fn an_owner_that_takes_over_again_sees_what_happened_between() {
    let place = Place::new();
    let mut first = place.owner().await;
    first.append_to_each(10, 1).await;
    let mut second = place.owner().await;
    second.append_to_each(10, 1).await;
    assert_eq!(first.append(&[(0, 1)]).await, Err(CommitError::Fenced));
    let ownership = first.store.acquire(None).await.unwrap();
    (first.epoch, first.head) = (ownership.epoch, ownership.head);
    first.append_to_each(10, 1).await;
    assert_histories(&first.store, 10, 3).await;
    assert_eq!(second.append(&[(0, 1)]).await, Err(CommitError::Fenced));
}

#[tokio::test]
async fn the_same_owner_confirms_its_epoch() {
    let place = Place::new();
    let mut owner = place.owner().await;
    owner.append_to_each(10, 1).await;
    let confirmed = owner.store.acquire(Some(owner.epoch)).await.unwrap();
    assert_eq!((confirmed.epoch, confirmed.head), (owner.epoch.next(), owner.head));
    assert_eq!(owner.append(&[(0, 1)]).await, Err(CommitError::Fenced));
}

#[tokio::test]
async fn a_takeover_whose_reply_was_lost_can_be_repeated() {
    let place = Place::new();
    let owner = place.owner().await;
    // As if the reply to the commit had been lost.
    let lost = owner.store.log.acquire(Some(owner.epoch)).await.unwrap();
    let repeated = owner.store.acquire(Some(owner.epoch)).await.unwrap();
    assert!(repeated.epoch > lost.epoch);
    // Not after its reply arrived, and not by another owner.
    assert_eq!(owner.store.acquire(Some(owner.epoch)).await, Err(StoreError::Fenced));
    let lost = owner.store.log.acquire(Some(repeated.epoch)).await.unwrap();
    let other = place.owner().await;
    assert!(other.epoch > lost.epoch);
    assert_eq!(owner.store.acquire(Some(repeated.epoch)).await, Err(StoreError::Fenced));
}

#[tokio::test]
async fn a_commit_that_happened_although_its_outcome_is_unknown_is_seen_after_acquiring() {
    let place = Place::new();
    let mut owner = place.owner().await;
    owner.append_to_each(10, 1).await;
    // The commit reaches the log, but not the tail.
    let batch = [Placed { first: Position(11), append: Arc::new(append(3, Version(1), 2)) }];
    owner.store.log.append(owner.epoch, &batch).await.unwrap();
    let ownership = owner.store.acquire(Some(owner.epoch)).await.unwrap();
    assert_eq!(ownership.head, Position(12));
    assert_eq!(owner.store.versions(&[aggregate(3)]).await.unwrap(), [Version(3)]);
    assert_eq!(owner.store.read_aggregate(&aggregate(3), Version(1), PageLimit::events(9)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_reader_beside_the_owner_sees_what_is_not_indexed() {
    let place = Place::new();
    let mut owner = place.owner().await;
    owner.append_to_each(30, 2).await;
    owner.store.close().await;
    let mut owner = place.owner().await;
    let reader = place.reader().await;
    owner.append_to_each(30, 3).await;
    assert_eq!(place.ask("index.db", "SELECT position FROM watermark").await, 60);
    assert_histories(&reader, 30, 5).await;
    assert_eq!(reader.head().await.unwrap(), Position(150));
    let limited = reader.read_aggregate(&aggregate(4), Version(1), PageLimit::events(2)).await.unwrap();
    assert_eq!(limited.iter().map(|event| event.version.0).collect::<Vec<_>>(), [2, 3]);
    assert!(matches!(reader.acquire(None).await, Err(StoreError::Unavailable(_))));
    reader.close().await;
    owner.append_to_each(30, 1).await;
    assert_histories(&owner.store, 30, 6).await;
}

#[tokio::test]
async fn a_store_reads_before_it_owns() {
    let place = Place::new();
    let mut owner = place.owner().await;
    owner.append_to_each(30, 2).await;
    owner.crash();
    let store = place.open(Access::Own).await.unwrap();
    assert_histories(&store, 30, 2).await;
}

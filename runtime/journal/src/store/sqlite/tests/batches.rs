//! Batches of all sizes, and the tail.

use super::*;
use crate::error::CommitError;
use crate::page::PageLimit;

#[tokio::test]
async fn a_batch_of_any_size_is_written_as_it_is() {
    let place = Place::new();
    let mut owner = place.owner().await;
    for (number, events) in [1, 2, 5, 17, 65, 300, 1024].into_iter().enumerate() {
        let before = owner.head;
        owner.append(&[(number, events)]).await.unwrap();
        let rows = owner.store.read_log(before, PageLimit::events(2000)).await.unwrap();
        assert_eq!(rows.len(), events);
        let expected = append(number, Version::ZERO, events);
        for (index, row) in rows.iter().enumerate() {
            assert_eq!(row.position, before.plus(index as u64 + 1));
            assert_is(row, &expected, index);
        }
        assert_eq!(
            owner.store.read_aggregate(&aggregate(number), Version::ZERO, PageLimit::events(2000)).await.unwrap(),
            rows
        );
    }
    owner.store.close().await;
    let slice = place.ask("journal.db", "SELECT slice FROM events WHERE position = 1").await;
    assert_eq!(slice, i64::from(aggregate(0).slice().number()));
}

#[tokio::test]
async fn a_batch_too_large_for_any_statement_is_refused_before_it_is_tried() {
    let place = Place::new();
    let mut owner = place.owner().await;
    assert!(matches!(owner.append(&[(0, 1025)]).await, Err(CommitError::Refused(_))));
    owner.append(&[(0, 1024)]).await.unwrap();
}

#[tokio::test]
async fn reads_are_right_while_events_move_from_the_tail_into_the_index() {
    let place = Place::with_tail(200);
    let mut owner = place.owner().await;
    for times in 1..=40 {
        owner.append_to_each(30, 1).await;
        assert_histories(&owner.store, 30, times).await;
    }
    eventually(async || place.ask("index.db", "SELECT position FROM watermark").await > 900).await;
    assert_histories(&owner.store, 30, 40).await;
    let events = owner.store.read_aggregate(&aggregate(3), Version(7), PageLimit::events(20)).await.unwrap();
    let versions: Vec<u64> = events.iter().map(|event| event.version.0).collect();
    assert_eq!(versions, (8..28).collect::<Vec<_>>());
}

#[tokio::test]
async fn commits_wait_for_the_index_when_the_tail_is_full() {
    let place = Place::with_tail_bytes(40_000);
    let mut owner = place.owner().await;
    for _ in 0..20 {
        owner.append(&[(0, 500)]).await.unwrap();
    }
    let held = owner.head.0 - owner.store.tail.start().0;
    assert!(held <= 1_000, "the tail holds {held} events of some 160 bytes");
    assert_eq!(owner.store.versions(&[aggregate(0)]).await.unwrap(), [Version(10_000)]);
}

#[tokio::test]
async fn closing_indexes_everything_and_leaves_no_wal() {
    let place = Place::new();
    let mut owner = place.owner().await;
    owner.append_to_each(100, 3).await;
    owner.store.close().await;
    assert!(owner.store.head().await.is_err());
    let mut batch = owner;
    batch.head = Position(300);
    let refused = batch
        .store
        .commit(batch.epoch, &[Placed { first: Position(301), append: Arc::new(append(0, Version(3), 1)) }])
        .await;
    assert!(matches!(refused, Err(CommitError::Refused(_))), "{refused:?}");
    let mut files: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["index.db", "journal.db", "snapshots.db"]);
    assert_eq!(place.ask("index.db", "SELECT position FROM watermark").await, 300);
    assert_eq!(place.ask("index.db", "SELECT count(*) FROM event_index").await, 300);
    assert_eq!(place.ask("index.db", "SELECT count(*) FROM command_index").await, 300);
}

//! Waiting for a position, and the consistency of documents with positions.

use std::time::Duration;

use dormouse_kernel::Position;
use dormouse_projections::store::Sqlite;
use dormouse_projections::{Document, WaitError};
use std::sync::Arc;

use crate::bank::{Balances, everything};
use crate::faulty::{Call, Fault, Faulty};
use crate::world::{PATIENCE, Teller, all, get, head, journal, memory, options, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_waits_for_a_write_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    let store = Arc::new(Sqlite::open(directory.path(), 2).await.unwrap());
    let projections = run(&journal, store, options()).await;
    let view = projections.view::<Balances>().unwrap();
    for number in 1..=500 {
        let position = teller.deposit("a", 1).await;
        assert!(view.wait_for(position, PATIENCE).await.unwrap() >= position);
        let answer = get(&view, "a").await;
        assert!(answer.at >= position);
        assert_eq!(answer.document.unwrap().content.amount, number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_and_the_positions_read_with_it_are_consistent_under_load() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal().await;
    let store = Arc::new(Sqlite::open(directory.path(), 2).await.unwrap());
    let projections = run(&journal, store, options()).await;
    let writer = tokio::spawn({
        let journal = journal.clone();
        async move {
            let mut teller = Teller::new(&journal);
            for number in 0..2000 {
                teller.deposit(&(number % 3).to_string(), 1).await;
                if number % 10 == 0 {
                    teller.write_elsewhere().await;
                }
            }
        }
    });
    let mut last = Position::ZERO;
    while !writer.is_finished() {
        let answer = all(&projections).await;
        assert!(answer.at >= last);
        last = answer.at;
        if let Some(Document { content, position }) = answer.document {
            // One event in eleven is of an aggregate that no projection reads: the third, the 14th, and so on.
            let elsewhere = |position: u64| (position + 9) / 11;
            assert_eq!(content.movements, position.0 - elsewhere(position.0), "{position}");
            assert!(position == answer.at || position.next() == answer.at, "{position} {}", answer.at);
        }
    }
    writer.await.unwrap();
    let head = head(&journal).await;
    assert_eq!(projections.view::<Balances>().unwrap().wait_for(head, PATIENCE).await.unwrap(), head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_waits_in_vain_gets_the_position_of_the_view() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    let store = Faulty::over(memory());
    let projections = run(&journal, Arc::clone(&store) as _, options()).await;
    let view = projections.view::<Balances>().unwrap();
    let seen = teller.deposit("a", 1).await;
    crate::world::caught_up(&projections, &journal).await;
    (0..2).for_each(|_| store.inject(Call::Commit, Fault::HangsBefore));
    let wanted = teller.deposit("a", 1).await;
    let behind = view.wait_for(wanted, Duration::from_millis(1)).await.unwrap_err();
    assert_eq!(behind, WaitError::Behind { at: seen, wanted });
    assert_eq!(get(&view, "a").await.at, seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_concern_no_document_move_the_watermark_too() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    let projections = run(&journal, memory(), options()).await;
    let last = teller.write_elsewhere().await;
    assert_eq!(projections.view::<Balances>().unwrap().wait_for(last, PATIENCE).await.unwrap(), last);
    assert_eq!(all(&projections).await.document, None);
    let last = teller.deposit("a", 1).await;
    projections.view::<Balances>().unwrap().wait_for(last, PATIENCE).await.unwrap();
    assert_eq!(everything(0).movements, 0);
}

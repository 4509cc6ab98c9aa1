//! An event that cannot be projected stops its aggregate, in order, and nothing else.

use dormouse_kernel::Position;
use dormouse_projections::store::{Parked, Sqlite};
use std::sync::Arc;

use crate::bank::{AccountEvent, Balances, Defect};
use crate::world::{Teller, account, assert_balances, batches_of, caught_up, get, journal, memory, options, run};

const ALL: [Defect; 6] = [
    Defect::PanicsOverKeys,
    Defect::PanicsHalfWay,
    Defect::HasNoKey,
    Defect::CannotBeWritten,
    Defect::ContainsNul,
    Defect::HasDamagedMetadata,
];

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_projected_stops_only_its_aggregate_and_keeps_its_order() {
    for defect in ALL {
        for batch in [1, 1000] {
            let journal = journal().await;
            let mut teller = Teller::new(&journal);
            teller.deposit("sick", 5).await;
            teller.deposit("shared", 1).await;
            let poison = teller.write("sick", &[AccountEvent::Poison { defect }]).await;
            teller.deposit("well", 1).await;
            let behind = teller.deposit("sick", 7).await;
            teller.deposit("shared", 1).await;
            let last = teller.deposit("sick", 8).await;

            let projections = run(&journal, memory(), batches_of(batch)).await;
            caught_up(&projections, &journal).await;
            let view = projections.view::<Balances>().unwrap();
            assert_eq!(get(&view, "sick").await.document.unwrap().content.amount, 5, "{defect:?}");
            assert_eq!(get(&view, "well").await.document.unwrap().content.amount, 1);
            assert_eq!(get(&view, "shared").await.document.unwrap().content.amount, 2, "{defect:?}");
            assert_balances(&projections, &journal).await;
            let parked = view.parked(Position::ZERO, 10).await.unwrap();
            let positions: Vec<Position> = parked.iter().map(|event| event.position).collect();
            assert_eq!(positions, [poison, behind, last], "{defect:?}");
            assert!(parked.iter().all(|event| event.aggregate == account("sick")));
            assert!(parked[0].reason.is_some());
            assert!(parked[1..].iter().all(|event| event.reason.is_none()));
            assert_eq!(view.progress().borrow().parked, 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_that_overflows_is_parked_and_does_not_wrap() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    teller.deposit("sick", i64::MAX).await;
    let one_too_many = teller.deposit("sick", 1).await;
    teller.deposit("well", 1).await;
    let projections = run(&journal, memory(), options()).await;
    caught_up(&projections, &journal).await;
    let view = projections.view::<Balances>().unwrap();
    assert_eq!(get(&view, "sick").await.document.unwrap().content.amount, i64::MAX);
    assert_eq!(get(&view, "well").await.document.unwrap().content.amount, 1);
    let parked = view.parked(Position::ZERO, 10).await.unwrap();
    assert_eq!(parked.iter().map(|event| event.position).collect::<Vec<_>>(), [one_too_many]);
    assert!(parked[0].reason.as_ref().unwrap().contains("overflow"), "{parked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_an_unknown_type_is_parked_with_a_reason() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    teller.deposit("sick", 5).await;
    teller.write_gibberish("sick").await;
    let projections = run(&journal, memory(), options()).await;
    caught_up(&projections, &journal).await;
    let parked = projections.view::<Balances>().unwrap().parked(Position::ZERO, 10).await.unwrap();
    assert!(parked[0].reason.as_ref().unwrap().contains("Gibberish"), "{parked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_a_panic_is_its_message() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    teller.write("sick", &[AccountEvent::Poison { defect: Defect::PanicsHalfWay }]).await;
    let projections = run(&journal, memory(), options()).await;
    caught_up(&projections, &journal).await;
    let parked = projections.view::<Balances>().unwrap().parked(Position::ZERO, 10).await.unwrap();
    assert_eq!(parked[0].reason.as_deref(), Some("the projection panicked: half way"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_store_refuses_a_document_with_nul() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    teller.write("sick", &[AccountEvent::Poison { defect: Defect::ContainsNul }]).await;
    let projections = run(&journal, memory(), options()).await;
    caught_up(&projections, &journal).await;
    let parked = projections.view::<Balances>().unwrap().parked(Position::ZERO, 10).await.unwrap();
    assert_eq!(parked[0].reason.as_deref(), Some("the document \"sick\" contains NUL"));
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_events_stay_parked_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    let mut all: Vec<Parked> = Vec::new();
    for number in 0..3 {
        let store = Arc::new(Sqlite::open(directory.path(), 1).await.unwrap());
        let projections = run(&journal, store, options()).await;
        if number == 0 {
            teller.write_gibberish("sick").await;
        }
        teller.deposit("sick", 1).await;
        teller.deposit("well", 1).await;
        caught_up(&projections, &journal).await;
        assert_balances(&projections, &journal).await;
        let view = projections.view::<Balances>().unwrap();
        let parked = view.parked(Position::ZERO, 10).await.unwrap();
        assert_eq!(parked.len(), number + 2);
        assert_eq!(parked[..all.len()], all);
        assert_eq!(view.progress().borrow().parked, 1);
        all = parked;
        projections.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_for_one_projection_does_not_concern_the_others() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    teller.write("sick", &[AccountEvent::Poison { defect: Defect::PanicsOverKeys }]).await;
    teller.deposit("sick", 1).await;
    let projections = run(&journal, memory(), options()).await;
    caught_up(&projections, &journal).await;
    let parked: Vec<usize> = projections.progress().iter().map(|progress| progress.parked).collect();
    assert_eq!(parked, [1, 0]);
    assert_eq!(crate::world::all(&projections).await.document.unwrap().content.movements, 2);
}

//! Each worker fails on its own, is restarted within limits, and is given up on its own.

use std::sync::Arc;
use std::time::Duration;

use dormouse_journal::{Append, Journal, PageLimit};
use dormouse_kernel::{Position, Version};
use dormouse_projections::store::{Advance, Begin, Offset, Row};
use dormouse_projections::{
    Definition, DefinitionError, Key, Progress, Projections, Retried, StartError, State, ViewStore, WaitError,
};
use tokio::time::{sleep, timeout};

use crate::bank::{AccountEvent, Balances, Defect, Everything};
use crate::faulty::{Call, Fault, Faulty};
use crate::world::{
    PATIENCE, Teller, account, all, assert_balances, batches_of, becomes, caught_up, get, head, journal, memory,
    options, run,
};

/// Writes a document into the view that its code cannot read.
pub(crate) async fn spoil(store: &Arc<dyn ViewStore>, journal: &Journal) {
    let view = Definition::of::<Balances>().unwrap();
    let build = store.begin(&view, Offset::START, Begin::Instead).await.unwrap().number;
    let first = &journal.read_log(Position::ZERO, PageLimit::ONE).await.unwrap()[0];
    let row = Row { key: Key::from("a"), document: "\"spoilt\"".to_owned(), position: Position(1) };
    let to = Offset::at(first);
    let spoilt = Advance {
        from: Position::ZERO,
        to,
        rows: vec![row],
        gone: Vec::new(),
        parked: Vec::new(),
        released: Vec::new(),
    };
    store.commit(&view, build, spoilt).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_keeps_failing_is_stopped_with_a_reason_while_others_go_on() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    teller.deposit("a", 1).await;
    let store = memory();
    spoil(&store, &journal).await;
    let last = teller.deposit("a", 1).await;
    let projections = run(&journal, store, options()).await;
    let view = projections.view::<Balances>().unwrap();
    let stopped = becomes(&view, |progress| progress.state.is_final()).await;
    let State::Stopped(reason) = &stopped.state else { panic!("{stopped:?}") };
    assert!(reason.contains("VERSION") && reason.contains("4 times"), "{reason}");
    let refused = view.wait_for(last, PATIENCE).await.unwrap_err();
    assert_eq!(refused, WaitError::Stopped { at: Position(1), reason: reason.clone() });

    let last = teller.deposit("b", 1).await;
    let other = projections.view::<Everything>().unwrap();
    assert_eq!(other.wait_for(last, PATIENCE).await.unwrap(), last);
    assert_eq!(all(&projections).await.document.unwrap().content.movements, 3);
    projections.stop().await;
    assert!(matches!(projections.progress()[0].state, State::Stopped(_)), "the reason stays visible after the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_respond_is_asked_until_it_does() {
    const REFUSALS: usize = 100_000;

    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    let store = Faulty::over(memory());
    (0..REFUSALS).for_each(|_| store.inject(Call::Prepare, Fault::Refused));
    let projections = run(&journal, Arc::clone(&store) as _, options()).await;
    let view = projections.view::<Balances>().unwrap();
    becomes(&view, |progress| matches!(&progress.state, State::Retrying(reason) if reason.contains("a test"))).await;
    let failing = async {
        // Far more often than a worker is restarted.
        while store.left() > REFUSALS - 30 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, failing).await.expect("it asks again and again");
    store.calm();
    teller.deposit("a", 1).await;
    caught_up(&projections, &journal).await;
    becomes(&view, |progress| progress.state == State::Running).await;
    assert_balances(&projections, &journal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_another_history_of_the_journal_is_rebuilt() {
    let (store, original) = (memory(), journal().await);
    Teller::new(&original).deposit("0", 1).await;
    let first = &original.read_log(Position::ZERO, PageLimit::ONE).await.unwrap()[0];
    for deposits in [5, 2, 9] {
        // Its first event is the same, and the chains of the others differ.
        let journal = journal().await;
        let restored = Append {
            aggregate: first.aggregate.clone(),
            expected: Version::ZERO,
            key: None,
            events: vec![first.event.clone()],
        };
        journal.append(restored).await.unwrap();
        let mut teller = Teller::new(&journal);
        for number in 1..deposits {
            teller.deposit(&number.to_string(), 1).await;
        }
        let projections = run(&journal, Arc::clone(&store), options()).await;
        let head = crate::world::head(&journal).await;
        let view = projections.view::<Balances>().unwrap();
        becomes(&view, |progress| progress.position == head && progress.state == State::Running).await;
        assert_balances(&projections, &journal).await;
        assert_eq!(view.get(&Key::from("4")).await.unwrap().document.is_some(), deposits > 4);
        projections.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn views_of_another_journal_are_left_as_they_are() {
    let (store, definition) = (memory(), Definition::of::<Balances>().unwrap());
    let (ours, theirs, empty) = (journal().await, journal().await, journal().await);
    let projections = run(&ours, Arc::clone(&store), options()).await;
    // At the first start the journal is empty, as on a new server.
    Teller::new(&ours).deposit("a", 1).await;
    caught_up(&projections, &ours).await;
    projections.stop().await;
    let before = store.prepare(&definition).await.unwrap();

    Teller::new(&theirs).deposit("a", 1).await;
    for other in [&theirs, &empty] {
        let projections = run(other, Arc::clone(&store), options()).await;
        let view = projections.view::<Balances>().unwrap();
        let stopped = becomes(&view, |progress| progress.state.is_final()).await;
        let State::Stopped(reason) = &stopped.state else { panic!("{stopped:?}") };
        assert!(reason.contains("another journal") && reason.contains("views.url"), "{reason}");
        projections.stop().await;
        assert_eq!(store.prepare(&definition).await.unwrap(), before);
    }
    let projections = run(&ours, store, options()).await;
    caught_up(&projections, &ours).await;
    assert_balances(&projections, &ours).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_another_process_begins_again_is_continued() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    let store = memory();
    let projections = run(&journal, Arc::clone(&store), options()).await;
    let definition = Definition::of::<Balances>().unwrap();
    for number in 1..=3 {
        teller.deposit("a", 1).await;
        caught_up(&projections, &journal).await;
        let build = store.begin(&definition, Offset::START, Begin::Instead).await.unwrap().number;
        teller.deposit("a", 1).await;
        let view = projections.view::<Balances>().unwrap();
        let is_current =
            |progress: &Progress| progress.build == Some(build) && progress.position == Position(2 * number);
        becomes(&view, is_current).await;
        assert_balances(&projections, &journal).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_all_workers_also_those_that_wait_or_retry() {
    let journal = journal().await;
    let store = Faulty::over(memory());
    let projections = run(&journal, Arc::clone(&store) as _, options()).await;
    let view = projections.view::<Balances>().unwrap();
    becomes(&view, |progress| progress.state == State::Running).await;
    tokio::time::timeout(PATIENCE, projections.stop()).await.unwrap();
    assert!(projections.progress().iter().all(|progress| progress.state == State::Ended));
    assert!(matches!(view.wait_for(Position(1), PATIENCE).await, Err(WaitError::Stopped { .. })));

    let mut patient = options();
    patient.supervision.backoff_min = PATIENCE;
    patient.supervision.backoff_max = PATIENCE;
    (0..2).for_each(|_| store.inject(Call::Prepare, Fault::Refused));
    let projections = run(&journal, store, patient).await;
    let view = projections.view::<Balances>().unwrap();
    becomes(&view, |progress| matches!(progress.state, State::Retrying(_))).await;
    tokio::time::timeout(PATIENCE / 2, projections.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_end_when_the_last_handle_is_dropped() {
    let journal = journal().await;
    let projections = run(&journal, memory(), options()).await;
    let view = projections.view::<Balances>().unwrap();
    let another = projections.clone();
    drop(projections);
    becomes(&view, |progress| progress.state == State::Running).await;
    drop(another);
    becomes(&view, |progress| progress.state == State::Ended).await;
}

#[tokio::test]
async fn two_projections_of_one_name_do_not_start() {
    let builder = Projections::builder(journal().await, memory(), options());
    let refused = builder.projection::<Balances>().projection::<Balances>().start().await.unwrap_err();
    assert_eq!(refused, StartError::Definition(DefinitionError::Duplicate { projection: "balances" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_fails_at_most_aggregates_is_stopped_and_can_be_resumed() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    for number in 0..3_000 {
        teller.write(&format!("sick-{number}"), &[AccountEvent::Poison { defect: Defect::HasNoKey }]).await;
    }
    let mut options = batches_of(200);
    options.supervision.restarts = 0;
    let projections = run(&journal, memory(), options).await;
    let view = projections.view::<Balances>().unwrap();
    let stopped = becomes(&view, |progress| matches!(progress.state, State::Stopped(_))).await;
    let State::Stopped(reason) = stopped.state else { unreachable!() };
    assert!(reason.contains("could not be projected"), "{reason}");
    assert!(stopped.parked >= 1_000, "{}", stopped.parked);
    // Operators can retry and skip parked events while the projection is stopped.
    let retried = projections.retry("balances", &account("sick-0")).await.unwrap();
    assert_eq!((retried.released, retried.still_parked.map(|event| event.position)), (0, Some(Position(1))));
    let skipped = projections.skip("balances", &account("sick-1"), Position(2)).await.unwrap();
    assert_eq!(skipped, Retried { released: 0, still_parked: None });
    assert_eq!(view.progress().borrow().parked, stopped.parked - 1);
    assert!(matches!(view.progress().borrow().state, State::Stopped(_)));
    // Aggregates that are parked already do not count again, and others are projected.
    for number in 0..3_000 {
        teller.deposit(&format!("well-{number}"), 1).await;
    }
    let mut resumed = 0;
    while view.progress().borrow().position < head(&journal).await {
        projections.resume("balances").await.unwrap();
        resumed += 1;
        becomes(&view, |progress| {
            matches!(progress.state, State::Stopped(_)) || progress.position == *journal.head().borrow()
        })
        .await;
    }
    assert!(resumed <= 3, "{resumed}");
    assert_eq!(get(&view, "well-0").await.document.unwrap().content.amount, 1);
}

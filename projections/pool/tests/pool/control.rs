//! Operators pause, resume, reset and drop projections.

use std::sync::Arc;
use std::time::Duration;

use dormouse_kernel::Position;
use dormouse_projections::store::{Advance, Offset, Row, Sqlite};
use dormouse_projections::{ControlError, Definition, Key, Projections, State, ViewStore, WaitError};

use crate::bank::{Balances, Everything, everything};
use crate::exactly_once::assert_all_is_right;
use crate::faulty::{Call, Fault, Faulty};
use crate::supervision::spoil;
use crate::world::{
    PATIENCE, Teller, account, all, assert_balances, becomes, caught_up, get, head, journal, memory, options, run,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_survives_a_restart_and_no_event_is_missing_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    let open = async || Arc::new(Sqlite::open(directory.path(), 2).await.unwrap()) as Arc<dyn ViewStore>;
    let mut projections = run(&journal, open().await, options()).await;
    let seen = teller.deposit("a", 1).await;
    caught_up(&projections, &journal).await;
    projections.pause("balances").await.unwrap();
    assert_eq!(projections.pause("balances").await.unwrap_err(), ControlError::AlreadyPaused);
    for restart in [false, true] {
        if restart {
            projections.stop().await;
            projections = run(&journal, open().await, options()).await;
        }
        let view = projections.view::<Balances>().unwrap();
        becomes(&view, |progress| progress.state == State::Paused && progress.build.is_some()).await;
        let wanted = teller.deposit("a", 1).await;
        // The other projection is not paused, and has this event.
        projections.view::<Everything>().unwrap().wait_for(wanted, PATIENCE).await.unwrap();
        let behind = view.wait_for(wanted, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(behind, WaitError::Behind { at: seen, wanted });
        let answer = get(&view, "a").await;
        assert_eq!((answer.at, answer.document.unwrap().content.amount), (seen, 1));
    }
    projections.resume("balances").await.unwrap();
    assert_all_is_right(&projections, &journal).await;
    let view = projections.view::<Balances>().unwrap();
    assert_eq!(get(&view, "a").await.document.unwrap().content.amount, 3);
    assert_eq!(projections.resume("balances").await.unwrap_err(), ControlError::NotPaused);
    projections.stop().await;
    let projections = run(&journal, open().await, options()).await;
    teller.deposit("a", 1).await;
    assert_all_is_right(&projections, &journal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_right_after_the_start_waits_until_the_state_is_known() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    let store = memory();
    for _ in 0..50 {
        teller.deposit("a", 1).await;
        let projections = run(&journal, Arc::clone(&store), options()).await;
        let refused = projections.retry("everything", &account("a")).await.unwrap_err();
        assert_eq!(refused, ControlError::NotParked { aggregate: account("a") });
        projections.pause("balances").await.unwrap();
        projections.stop().await;
        let projections = run(&journal, Arc::clone(&store), options()).await;
        projections.resume("balances").await.unwrap();
        caught_up(&projections, &journal).await;
        projections.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_an_unknown_projection_names_the_known_ones() {
    let projections = run(&journal().await, memory(), options()).await;
    let unknown = ControlError::Unknown {
        name: "ballances".to_owned(),
        known: vec!["balances".to_owned(), "everything".to_owned()],
    };
    for refused in [
        projections.pause("ballances").await,
        projections.resume("ballances").await,
        projections.rebuild("ballances", false).await,
        projections.reset("ballances", Position(0)).await,
        projections.drop_view("ballances").await,
    ] {
        assert_eq!(refused.unwrap_err(), unknown);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_view_has_only_the_events_after_the_position() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    for amount in [1, 10, 100, 1000] {
        teller.deposit("a", amount).await;
    }
    let projections = run(&journal, memory(), options()).await;
    caught_up(&projections, &journal).await;
    let view = projections.view::<Balances>().unwrap();

    let refused = projections.reset("balances", Position(5)).await.unwrap_err();
    assert_eq!(refused, ControlError::BeyondHead { position: Position(5), head: Position(4) });
    assert_eq!(get(&view, "a").await.document.unwrap().content.amount, 1111);

    let served = view.progress().borrow().build;
    projections.reset("balances", Position(2)).await.unwrap();
    let partial = becomes(&view, |progress| progress.build > served && progress.position == Position(4)).await;
    assert_eq!(partial.begun_after, Position(2));
    assert_eq!(get(&view, "a").await.document.unwrap().content.amount, 1100);
    teller.deposit("a", 1).await;
    caught_up(&projections, &journal).await;
    assert_eq!(get(&view, "a").await.document.unwrap().content.amount, 1101);

    // A paused projection stays paused, at the position of the reset.
    projections.pause("balances").await.unwrap();
    projections.reset("balances", Position(4)).await.unwrap();
    becomes(&view, |progress| progress.build.is_some()).await;
    assert_eq!(view.progress().borrow().state, State::Paused);
    let answer = get(&view, "a").await;
    assert_eq!((answer.document, answer.at), (None, Position(4)));
    projections.reset("balances", Position(0)).await.unwrap();
    projections.resume("balances").await.unwrap();
    assert_all_is_right(&projections, &journal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_waits_during_a_reset_reads_what_it_waited_for() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    for _ in 0..20 {
        teller.deposit("a", 1).await;
    }
    let projections = run(&journal, memory(), options()).await;
    let view = projections.view::<Balances>().unwrap();
    for _ in 0..20 {
        projections.reset("balances", Position(0)).await.unwrap();
        view.wait_for(Position(20), PATIENCE).await.unwrap();
        let answer = get(&view, "a").await;
        assert_eq!((answer.at, answer.document.unwrap().content.amount), (Position(20), 20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_view_is_removed_and_is_built_again_when_its_projection_is_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    teller.deposit("a", 1).await;
    let store: Arc<dyn ViewStore> = Arc::new(Sqlite::open(directory.path(), 2).await.unwrap());
    let projections = run(&journal, Arc::clone(&store), options()).await;
    caught_up(&projections, &journal).await;
    assert_eq!(projections.drop_view("balances").await.unwrap_err(), ControlError::AtWork);
    projections.pause("balances").await.unwrap();
    projections.drop_view("balances").await.unwrap();
    let view = projections.view::<Balances>().unwrap();
    assert_eq!(view.progress().borrow().state, State::Dropped);
    assert_eq!(store.names().await.unwrap(), ["everything"]);
    assert!(view.get(&Key::from("a")).await.is_err());
    assert!(matches!(view.wait_for(Position(1), PATIENCE).await.unwrap_err(), WaitError::Stopped { .. }));
    assert_eq!(projections.drop_view("balances").await.unwrap_err(), ControlError::Dropped);
    assert_eq!(projections.rebuild("balances", false).await.unwrap_err(), ControlError::Dropped);
    teller.deposit("b", 1).await;
    projections.resume("balances").await.unwrap();
    becomes(&view, |progress| progress.position == Position(2)).await;
    assert_all_is_right(&projections, &journal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_whose_projection_does_not_exist_any_more_can_be_dropped() {
    let journal = journal().await;
    Teller::new(&journal).deposit("a", 1).await;
    let store = memory();
    let both = run(&journal, Arc::clone(&store), options()).await;
    caught_up(&both, &journal).await;
    assert_eq!(both.orphans().await.unwrap(), [""; 0]);
    both.stop().await;
    let builder = Projections::builder(journal.clone(), Arc::clone(&store), options());
    let one = builder.projection::<Everything>().start().await.unwrap();
    one.view::<Everything>().unwrap().wait_for(Position(1), PATIENCE).await.unwrap();
    assert_eq!(one.orphans().await.unwrap(), ["balances"]);
    one.drop_view("balances").await.unwrap();
    assert_eq!(one.orphans().await.unwrap(), [""; 0]);
    assert_eq!(store.names().await.unwrap(), ["everything"]);
    assert!(matches!(one.drop_view("balances").await.unwrap_err(), ControlError::Unknown { .. }));
    assert_eq!(all(&one).await.document.unwrap().content, everything(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_projection_goes_on_when_it_is_resumed_after_the_repair() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    teller.deposit("a", 1).await;
    let store = memory();
    spoil(&store, &journal).await;
    teller.deposit("a", 1).await;
    let projections = run(&journal, Arc::clone(&store), options()).await;
    let view = projections.view::<Balances>().unwrap();
    // Without a repair it stops again, after as many failures as before.
    for _ in 0..2 {
        let stopped = becomes(&view, |progress| progress.state.is_final()).await.state;
        assert!(matches!(&stopped, State::Stopped(reason) if reason.contains("4 times")), "{stopped:?}");
        projections.resume("balances").await.unwrap();
    }
    becomes(&view, |progress| progress.state.is_final()).await;
    let definition = Definition::of::<Balances>().unwrap();
    let build = store.prepare(&definition).await.unwrap().serving.unwrap();
    let row = Row {
        key: Key::from("a"),
        document: serde_json::json!({"amount": 1, "movements": 1, "trail": 1}).to_string(),
        position: Position(1),
    };
    let Offset { position: from, .. } = build.offset;
    let repaired =
        Advance { from, to: build.offset, rows: vec![row], gone: Vec::new(), parked: Vec::new(), released: Vec::new() };
    store.commit(&definition, build.number, repaired).await.unwrap();
    projections.resume("balances").await.unwrap();
    becomes(&view, |progress| progress.position == Position(2)).await;
    assert_balances(&projections, &journal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_operators_and_store_failures_leave_correct_views() {
    for seed in 0..6 {
        let journal = journal().await;
        let mut teller = Teller::new(&journal);
        let store = Faulty::over(memory());
        let projections = run(&journal, Arc::clone(&store) as _, crate::world::batches_of(7)).await;
        caught_up(&projections, &journal).await;
        store.fail_at_random(Some(dormouse_faults::Dice::new(seed)));
        let operators: Vec<_> = (0..4)
            .map(|operator| {
                let projections = projections.clone();
                let mut dice = dormouse_faults::Dice::new(seed * 10 + operator);
                tokio::spawn(async move {
                    for _ in 0..12 {
                        let name = ["balances", "everything"][dice.below(2) as usize];
                        // It may be refused or fail: that is what the test wants.
                        let _asked = match dice.below(6) {
                            0 => projections.pause(name).await,
                            1 | 2 => projections.resume(name).await,
                            3 => projections.rebuild(name, true).await,
                            4 => projections.reset(name, Position(0)).await,
                            _ => projections.drop_view(name).await,
                        };
                    }
                })
            })
            .collect();
        for number in 0..100 {
            teller.deposit(&(number % 5).to_string(), number).await;
        }
        for operator in operators {
            operator.await.unwrap();
        }
        store.fail_at_random(None);
        for name in ["balances", "everything"] {
            let mut progress = projections.reader(name).unwrap().progress();
            let is_at_rest = |state: &State| matches!(state, State::Paused | State::Dropped | State::Stopped(_));
            if is_at_rest(&progress.borrow_and_update().state) {
                projections.resume(name).await.unwrap();
            }
            let head = head(&journal).await;
            let is_well = |progress: &dormouse_projections::Progress| {
                progress.position == head && progress.state == State::Running && progress.rebuild.is_none()
            };
            tokio::time::timeout(PATIENCE, progress.wait_for(is_well)).await.expect("it runs in time").unwrap();
        }
        assert_all_is_right(&projections, &journal).await;
        tokio::time::timeout(PATIENCE, projections.stop()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn projections_that_are_stopped_while_paused_or_rebuilding_end() {
    let journal = journal().await;
    let store = Faulty::over(memory());
    let projections = run(&journal, Arc::clone(&store) as _, options()).await;
    caught_up(&projections, &journal).await;
    projections.pause("balances").await.unwrap();
    // The other projection is in the middle of a rebuild.
    Teller::new(&journal).deposit("a", 1).await;
    projections.view::<Everything>().unwrap().wait_for(Position(1), PATIENCE).await.unwrap();
    (0..5).for_each(|_| store.inject(Call::Serve, Fault::Refused));
    projections.rebuild("everything", false).await.unwrap();
    tokio::time::timeout(PATIENCE, projections.stop()).await.unwrap();
    assert!(projections.progress().iter().all(|progress| progress.state == State::Ended));
    assert_eq!(projections.resume("balances").await.unwrap_err(), ControlError::Ended);
}

//! Parked events are retried in order, or skipped.

use std::sync::Arc;

use dormouse_faults::Dice;
use dormouse_journal::{Journal, PageLimit};
use dormouse_kernel::Position;
use dormouse_projections::store::{Parked, Sqlite};
use dormouse_projections::{
    ControlError, Event, Key, Keys, Options, Project, Projection, Projections, Retried, Sources, State, View, ViewStore,
};

use crate::bank::{Account, AccountEvent, Balance, Balances, Defect, trail};
use crate::exactly_once::Process;
use crate::faulty::{Call, Fault, Faulty};
use crate::world::{
    PATIENCE, Teller, account, assert_balances, batches_of, caught_up, get, head, journal, memory, options, run,
};

/// [`Balances`] after a fix: it can project every event but one.
struct FixedBalances;

impl Projection for FixedBalances {
    const NAME: &'static str = Balances::NAME;
    type Document = Balance;

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Account>()
    }
}

impl Project<Account> for FixedBalances {
    fn keys(event: &Event<'_, Account>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<Balance>, event: &Event<'_, Account>, _: &Key) -> Option<Balance> {
        let mut balance = current.unwrap_or_default();
        let amount = match event.body() {
            AccountEvent::Deposited { amount } => *amount,
            AccountEvent::Poison { defect: Defect::HasNoKey } => panic!("this event still fails"),
            _ => 0,
        };
        balance.moved(amount, event.position());
        Some(balance)
    }
}

async fn run_fixed(
    journal: &Journal,
    store: Arc<dyn ViewStore>,
    options: Options,
) -> (Projections, View<FixedBalances>) {
    let builder = Projections::builder(journal.clone(), store, options);
    let projections = builder.projection::<FixedBalances>().start().await.unwrap();
    let view = projections.view::<FixedBalances>().unwrap();
    view.wait_for(head(journal).await, PATIENCE).await.unwrap();
    (projections, view)
}

pub(crate) async fn poison(teller: &mut Teller, id: &str, defect: Defect) -> Position {
    teller.write(id, &[AccountEvent::Poison { defect }]).await
}

/// What the fixed view must contain for an account: all of its events, in order.
async fn expected_after_fix(journal: &Journal, id: &str) -> (u64, u64) {
    let log = journal.read_log(Position::ZERO, PageLimit::ALL).await.unwrap();
    let own = log.iter().filter(|event| event.aggregate == account(id));
    own.fold((0, 0), |(movements, before), event| (movements + 1, trail(before, event.position)))
}

async fn assert_fixed(view: &View<FixedBalances>, journal: &Journal, id: &str) {
    let found = view.get(&Key::from(id)).await.unwrap().document.unwrap().content;
    assert_eq!((found.movements, found.trail), expected_after_fix(journal, id).await, "{id}");
}

pub(crate) async fn parked(projections: &Projections) -> Vec<Parked> {
    projections.parked("balances", None, Position::ZERO, usize::MAX).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_fix_an_aggregate_is_released_in_order_while_its_new_events_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite: Arc<dyn ViewStore> = Arc::new(Sqlite::open(directory.path(), 2).await.unwrap());
    // One event at a time, because two documents are more than may be loaded.
    let one_by_one = Options { load_bytes: 0, cache_bytes: 0, ..batches_of(3) };
    for (store, options_then) in [(memory(), batches_of(3)), (sqlite, one_by_one)] {
        let journal = journal().await;
        let mut teller = Teller::new(&journal);
        teller.deposit("sick", 1).await;
        poison(&mut teller, "sick", Defect::PanicsHalfWay).await;
        for number in 0..60 {
            teller.deposit(if number % 4 == 0 { "well" } else { "sick" }, number).await;
        }
        let old = run(&journal, Arc::clone(&store), options()).await;
        caught_up(&old, &journal).await;
        old.stop().await;

        // Many pages, with batches between them.
        let (projections, view) = run_fixed(&journal, store, options_then).await;
        assert_eq!(view.get(&Key::from("sick")).await.unwrap().document.unwrap().content.movements, 1);
        let writer = tokio::spawn(async move {
            for number in 0..200 {
                teller.deposit("sick", number).await;
            }
        });
        let before = view.get(&Key::from("well")).await.unwrap();
        let retried = projections.retry("balances", &account("sick")).await.unwrap();
        assert!(retried.released >= 46 && retried.still_parked.is_none(), "{retried:?}");
        writer.await.unwrap();
        view.wait_for(head(&journal).await, PATIENCE).await.unwrap();
        assert_fixed(&view, &journal, "sick").await;
        assert_eq!(view.get(&Key::from("well")).await.unwrap().document, before.document);
        assert_eq!(parked(&projections).await, []);
        assert_eq!(view.progress().borrow().parked, 0);
        let again = projections.retry("balances", &account("sick")).await.unwrap_err();
        assert_eq!(again, ControlError::NotParked { aggregate: account("sick") });
        let document = view.get(&Key::from("sick")).await.unwrap().document.unwrap();
        assert_eq!(document.position, head(&journal).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_has_the_position_of_the_last_released_event() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    let last = poison(&mut teller, "sick", Defect::PanicsHalfWay).await;
    teller.deposit("well", 1).await;
    let store = memory();
    let old = run(&journal, Arc::clone(&store), options()).await;
    caught_up(&old, &journal).await;
    old.stop().await;
    let (projections, view) = run_fixed(&journal, store, options()).await;
    projections.retry("balances", &account("sick")).await.unwrap();
    let answer = view.get(&Key::from("sick")).await.unwrap();
    assert_eq!((answer.document.unwrap().position, answer.at), (last, Position(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_fails_again_stays_parked_with_those_behind_it() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    poison(&mut teller, "sick", Defect::PanicsHalfWay).await;
    teller.deposit("sick", 1).await;
    let second = poison(&mut teller, "sick", Defect::HasNoKey).await;
    teller.deposit("sick", 1).await;
    let store = memory();
    let old = run(&journal, Arc::clone(&store), options()).await;
    caught_up(&old, &journal).await;
    let before = parked(&old).await;
    let Retried { released, still_parked } = old.retry("balances", &account("sick")).await.unwrap();
    let expected = Parked { attempts: 4, ..before[0].clone() };
    assert_eq!((released, still_parked), (0, Some(expected.clone())));
    assert_eq!(parked(&old).await, [vec![expected], before[1..].to_vec()].concat());
    assert_balances(&old, &journal).await;
    old.stop().await;

    // With half of a fix, the second poison fails.
    let (projections, view) = run_fixed(&journal, store, options()).await;
    for attempts in [1, 2] {
        let retried = projections.retry("balances", &account("sick")).await.unwrap();
        let reason = Some("the projection panicked: this event still fails".to_owned());
        let still = Parked { reason, attempts, ..before[2].clone() };
        let released = if attempts == 1 { 2 } else { 0 };
        assert_eq!(retried, Retried { released, still_parked: Some(still) });
        assert_eq!(view.get(&Key::from("sick")).await.unwrap().document.unwrap().content.movements, 2);
        assert_eq!(view.progress().borrow().parked, 1);
    }
    let shown = projections.parked_event("balances", second).await.unwrap().unwrap();
    assert_eq!((shown.recorded.event.event_type.as_ref(), shown.recorded.position), ("Poison", second));
    assert_eq!((shown.parked.attempts, shown.parked.version), (2, shown.recorded.version));
    assert_eq!(projections.parked_event("balances", Position(1)).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_event_is_left_out_and_those_behind_it_are_projected() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    teller.deposit("sick", 5).await;
    let first = teller.write_gibberish("sick").await;
    teller.deposit("sick", 7).await;
    let second = teller.write_gibberish("sick").await;
    teller.deposit("sick", 8).await;
    let other = teller.write_gibberish("other").await;
    let projections = run(&journal, memory(), options()).await;
    caught_up(&projections, &journal).await;
    let (view, sick) = (projections.view::<Balances>().unwrap(), account("sick"));

    let refused = projections.skip("balances", &sick, second).await.unwrap_err();
    assert_eq!(refused, ControlError::NotFirst { position: second, first });
    let skipped = projections.skip("balances", &sick, first).await.unwrap();
    assert_eq!((skipped.released, skipped.still_parked.unwrap().position), (1, second));
    assert_eq!(get(&view, "sick").await.document.unwrap().content.amount, 12);
    // The same request a second time does not skip the next event.
    let again = projections.skip("balances", &sick, first).await.unwrap_err();
    assert_eq!(again, ControlError::NotFirst { position: first, first: second });
    let skipped = projections.skip("balances", &sick, second).await.unwrap();
    assert_eq!(skipped, Retried { released: 1, still_parked: None });
    assert_eq!(get(&view, "sick").await.document.unwrap().content.amount, 20);
    // The last parked event of an aggregate can be skipped, too.
    let skipped = projections.skip("balances", &account("other"), other).await.unwrap();
    assert_eq!(skipped, Retried { released: 0, still_parked: None });
    assert_eq!(parked(&projections).await, []);
    teller.deposit("sick", 1).await;
    teller.deposit("other", 2).await;
    caught_up(&projections, &journal).await;
    assert_eq!(get(&view, "sick").await.document.unwrap().content.amount, 21);
    assert_eq!(get(&view, "other").await.document.unwrap().content.amount, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_view_has_no_worker_for_a_retry() {
    let journal = journal().await;
    Teller::new(&journal).write_gibberish("sick").await;
    let projections = run(&journal, memory(), options()).await;
    caught_up(&projections, &journal).await;
    projections.pause("balances").await.unwrap();
    projections.drop_view("balances").await.unwrap();
    let refused = projections.retry("balances", &account("sick")).await.unwrap_err();
    assert_eq!(refused, ControlError::NotAtWork);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_after_the_fix_parks_nothing() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    poison(&mut teller, "sick", Defect::PanicsHalfWay).await;
    teller.deposit("sick", 5).await;
    let store = memory();
    let old = run(&journal, Arc::clone(&store), options()).await;
    caught_up(&old, &journal).await;
    old.stop().await;
    let (projections, view) = run_fixed(&journal, store, options()).await;
    assert_eq!(view.progress().borrow().parked, 1);
    projections.rebuild("balances", false).await.unwrap();
    let mut progress = view.progress();
    let is_well = |progress: &dormouse_projections::Progress| progress.parked == 0 && progress.rebuild.is_none();
    tokio::time::timeout(PATIENCE, progress.wait_for(is_well)).await.unwrap().unwrap();
    assert_fixed(&view, &journal, "sick").await;
    assert_eq!(parked(&projections).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_has_its_effect_once_if_the_store_fails_and_loses_responses() {
    for seed in 0..10 {
        let journal = journal().await;
        let (mut teller, mut dice) = (Teller::new(&journal), Dice::new(seed));
        for _ in 0..100 {
            let id = dice.below(3).to_string();
            match dice.below(6) {
                0 => poison(&mut teller, &id, Defect::PanicsHalfWay).await,
                _ => teller.deposit(&id, 1).await,
            };
        }
        let store = Faulty::over(memory());
        let old = run(&journal, Arc::clone(&store) as _, options()).await;
        caught_up(&old, &journal).await;
        old.stop().await;
        let (projections, view) =
            run_fixed(&journal, Arc::clone(&store) as _, batches_of(1 + dice.below(9) as usize)).await;
        store.fail_at_random(Some(Dice::new(seed)));
        for id in ["0", "1", "2"] {
            loop {
                teller.deposit(id, 1).await;
                match projections.retry("balances", &account(id)).await {
                    Ok(Retried { still_parked: None, .. }) | Err(ControlError::NotParked { .. }) => break,
                    Err(ControlError::Interrupted(_) | ControlError::NotAtWork) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        store.fail_at_random(None);
        view.wait_for(head(&journal).await, PATIENCE).await.unwrap();
        for id in ["0", "1", "2"] {
            assert_fixed(&view, &journal, id).await;
        }
        assert_eq!(parked(&projections).await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_in_a_retry_leaves_the_rest_to_its_successor() {
    for (call, fault) in
        [(Call::Load, Fault::HangsBefore), (Call::Commit, Fault::HangsBefore), (Call::Commit, Fault::HangsAfter)]
    {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal().await;
        let mut teller = Teller::new(&journal);
        poison(&mut teller, "sick", Defect::PanicsHalfWay).await;
        for number in 0..20 {
            teller.deposit("sick", number).await;
        }
        let open = async || Arc::new(Sqlite::open(directory.path(), 1).await.unwrap()) as Arc<dyn ViewStore>;
        let old = run(&journal, open().await, options()).await;
        caught_up(&old, &journal).await;
        old.stop().await;

        let store = Faulty::over(open().await);
        let process = Process::start();
        let small = Options { cache_bytes: 0, ..batches_of(4) };
        let (projections, _) = process
            .runs({
                let (journal, store, small) = (journal.clone(), Arc::clone(&store), small.clone());
                async move { run_fixed(&journal, store, small).await }
            })
            .await;
        (0..2).for_each(|_| store.inject(call, Fault::None));
        store.inject(call, fault);
        let asked = tokio::spawn({
            let projections = projections.clone();
            async move { projections.retry("balances", &account("sick")).await }
        });
        tokio::time::timeout(PATIENCE, store.hangs()).await.expect("it reaches that step");
        process.dies();
        asked.abort();
        drop(projections);

        teller.deposit("sick", 1).await;
        let (projections, view) = run_fixed(&journal, open().await, small).await;
        let left = parked(&projections).await;
        assert_eq!(left.len(), if fault == Fault::HangsAfter { 10 } else { 14 }, "{call:?} {fault:?}");
        projections.retry("balances", &account("sick")).await.unwrap();
        assert_fixed(&view, &journal, "sick").await;
        assert_eq!(view.progress().borrow().state, State::Running);
    }
}

/// More than any earlier limit on parked aggregates. Each batch with new poison costs several attempts.
const MANY: usize = 10_050;

#[tokio::test(flavor = "multi_thread")]
async fn a_view_goes_on_with_any_number_of_parked_aggregates_and_releases_them_after_the_fix() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn ViewStore> = Arc::new(Sqlite::open(directory.path(), 2).await.unwrap());
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    for number in 0..MANY {
        teller.deposit(&format!("well-{number}"), 1).await;
        poison(&mut teller, &format!("sick-{number}"), Defect::HasNoKey).await;
    }
    let old = run(&journal, Arc::clone(&store), batches_of(5_000)).await;
    caught_up(&old, &journal).await;
    teller.deposit("sick-7", 1).await;
    teller.deposit("well-7", 1).await;
    caught_up(&old, &journal).await;
    let view = old.view::<Balances>().unwrap();
    assert_eq!(view.progress().borrow().parked, MANY);
    assert_eq!(get(&view, "well-7").await.document.unwrap().content.amount, 2);
    assert!(get(&view, "sick-7").await.document.is_none(), "it waits behind what is parked");
    old.stop().await;

    // After a restart the store still knows them. They are skipped one by one; one of them has an event behind it.
    let (projections, view) = run_fixed(&journal, store, options()).await;
    assert_eq!(view.progress().borrow().parked, MANY);
    for event in parked(&projections).await.into_iter().filter(|event| event.reason.is_some()).take(100) {
        projections.skip("balances", &event.aggregate, event.position).await.unwrap();
    }
    assert_eq!(view.progress().borrow().parked, MANY - 100);
    assert_eq!(view.get(&Key::from("sick-7")).await.unwrap().document.unwrap().content.movements, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_events_of_a_paused_view_are_retried_and_its_position_does_not_change() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    poison(&mut teller, "sick", Defect::PanicsHalfWay).await;
    teller.deposit("sick", 1).await;
    let second = poison(&mut teller, "sick", Defect::HasNoKey).await;
    let store = memory();
    let old = run(&journal, Arc::clone(&store), options()).await;
    caught_up(&old, &journal).await;
    old.stop().await;
    let (projections, view) = run_fixed(&journal, store, options()).await;
    projections.pause("balances").await.unwrap();
    let at = view.progress().borrow().position;
    teller.deposit("sick", 1).await;

    let before = parked(&projections).await;
    let rehearsed = projections.dry_run("balances", &account("sick"), None).await.unwrap();
    assert_eq!((rehearsed.released, rehearsed.still_parked.as_ref().unwrap().position), (2, second));
    assert_eq!(parked(&projections).await, before);
    assert!(view.get(&Key::from("sick")).await.unwrap().document.is_none());

    assert_eq!(projections.retry("balances", &account("sick")).await.unwrap().released, 2);
    assert_eq!(view.get(&Key::from("sick")).await.unwrap().document.unwrap().content.movements, 2);
    projections.skip("balances", &account("sick"), second).await.unwrap();
    assert_eq!((parked(&projections).await, view.progress().borrow().parked), (Vec::new(), 0));
    assert_eq!(view.progress().borrow().position, at, "a view that is paused stays where it is");
    projections.resume("balances").await.unwrap();
    view.wait_for(head(&journal).await, PATIENCE).await.unwrap();
    assert_eq!(view.get(&Key::from("sick")).await.unwrap().document.unwrap().content.movements, 3);
}

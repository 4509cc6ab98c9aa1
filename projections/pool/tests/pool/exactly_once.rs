//! Each event has its effect once, also if the store fails, and whenever a process dies.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_config::PostgresUrl;
use dormouse_faults::Dice;
use dormouse_journal::Journal;
use dormouse_projections::store::Sqlite;
use dormouse_projections::{Options, Projections, ViewStore};
use tempfile::TempDir;

use crate::bank::{AccountEvent, everything};
use crate::faulty::{Call, Fault, Faulty};
use crate::world::{
    PATIENCE, Teller, all, assert_balances, batches_of, caught_up, head, journal, memory, options, postgres,
    postgres_url, run,
};

pub(crate) async fn sqlite(directory: &Path) -> Arc<dyn ViewStore> {
    Arc::new(Sqlite::open(directory, 2).await.unwrap())
}

/// Where views are stored that survive a process.
enum Place {
    Sqlite(TempDir),
    Postgres(PostgresUrl),
}

impl Place {
    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    fn postgres() -> Self {
        Self::Postgres(postgres_url())
    }

    async fn store(&self) -> Arc<dyn ViewStore> {
        match self {
            Self::Sqlite(directory) => sqlite(directory.path()).await,
            Self::Postgres(url) => postgres(url).await,
        }
    }
}

/// Deposits and transfers between a few accounts.
pub(crate) async fn trade(teller: &mut Teller, dice: &mut Dice, commands: usize) {
    for _ in 0..commands {
        let (from, to) = (dice.below(9).to_string(), dice.below(9).to_string());
        let amount = dice.below(100) as i64;
        let event = match dice.below(8) {
            0 => AccountEvent::Closed {},
            1..4 => AccountEvent::Transferred { to, amount },
            _ => AccountEvent::Deposited { amount },
        };
        let events = vec![event; 1 + dice.below(3) as usize];
        teller.write(&from, &events).await;
    }
}

pub(crate) async fn assert_all_is_right(projections: &Projections, journal: &Journal) {
    caught_up(projections, journal).await;
    assert_balances(projections, journal).await;
    assert_eq!(all(projections).await.document.unwrap().content, everything(head(journal).await.0));
}

/// A runtime that replaces a process: its tasks end at once and finish nothing.
pub(crate) struct Process(Option<tokio::runtime::Runtime>);

impl Process {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self(Some(runtime.unwrap()))
    }

    pub(crate) async fn projects(&self, journal: &Journal, store: Arc<dyn ViewStore>, options: Options) -> Projections {
        let journal = journal.clone();
        self.runs(async move { run(&journal, store, options).await }).await
    }

    pub(crate) async fn runs<T: Send + 'static>(&self, what: impl Future<Output = T> + Send + 'static) -> T {
        self.0.as_ref().unwrap().spawn(what).await.unwrap()
    }

    pub(crate) fn dies(mut self) {
        self.0.take().unwrap().shutdown_background();
    }
}

async fn a_process_that_dies_at_any_step_of_a_batch_leaves_what_its_successor_completes(place: fn() -> Place) {
    for call in [Call::Prepare, Call::Load, Call::Commit] {
        for fault in [Fault::HangsBefore, Fault::HangsAfter] {
            for calls_before in [0, 1, 5] {
                let place = place();
                let journal = journal().await;
                let (mut teller, mut dice) = (Teller::new(&journal), Dice::new(calls_before));
                trade(&mut teller, &mut dice, 60).await;
                let store = Faulty::over(place.store().await);
                // Each of the two projections prepares once. They load and commit often.
                let before = if call == Call::Prepare { calls_before.min(1) } else { calls_before };
                (0..before).for_each(|_| store.inject(call, Fault::None));
                store.inject(call, fault);
                let process = Process::start();
                // Without kept documents, so that each batch loads.
                let small = Options { cache_bytes: 0, ..batches_of(7) };
                let _projections = process.projects(&journal, Arc::clone(&store) as _, small.clone()).await;
                tokio::time::timeout(PATIENCE, store.hangs()).await.expect("it reaches that step");
                process.dies();

                trade(&mut teller, &mut dice, 20).await;
                let projections = run(&journal, place.store().await, small).await;
                assert_all_is_right(&projections, &journal).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_at_any_step_of_a_batch_leaves_what_its_successor_completes_on_sqlite() {
    a_process_that_dies_at_any_step_of_a_batch_leaves_what_its_successor_completes(Place::sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_at_any_step_of_a_batch_leaves_what_its_successor_completes_on_postgres() {
    a_process_that_dies_at_any_step_of_a_batch_leaves_what_its_successor_completes(Place::postgres).await;
}

async fn processes_that_die_at_random_moments_under_load_leave_what_their_successor_completes(place: Place) {
    let journal = journal().await;
    let mut dice = Dice::new(7);
    for generation in 0..25 {
        let process = Process::start();
        let projections =
            process.projects(&journal, place.store().await, batches_of(1 + dice.below(64) as usize)).await;
        let writer = tokio::spawn({
            let (journal, mut dice) = (journal.clone(), Dice::new(generation));
            // Each process has accounts of its own, because another `Teller` would not know their versions.
            async move {
                let mut teller = Teller::new(&journal);
                for number in 0..200 {
                    let id = format!("{generation}-{}", dice.below(5));
                    let to = format!("{}-{}", dice.below(generation + 1), dice.below(5));
                    let event = if number % 3 == 0 {
                        AccountEvent::Transferred { to, amount: 1 }
                    } else {
                        AccountEvent::Deposited { amount: number }
                    };
                    teller.write(&id, &[event]).await;
                }
            }
        });
        // The test wants a fault at a random moment.
        tokio::time::sleep(Duration::from_micros(dice.below(20_000))).await;
        process.dies();
        drop(projections);
        writer.await.unwrap();
    }
    let projections = run(&journal, place.store().await, options()).await;
    assert_all_is_right(&projections, &journal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_die_at_random_moments_under_load_leave_what_their_successor_completes_on_sqlite() {
    processes_that_die_at_random_moments_under_load_leave_what_their_successor_completes(Place::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_die_at_random_moments_under_load_leave_what_their_successor_completes_on_postgres() {
    processes_that_die_at_random_moments_under_load_leave_what_their_successor_completes(Place::postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_and_loses_responses_changes_no_result() {
    for seed in 0..10 {
        let journal = journal().await;
        let (mut teller, mut dice) = (Teller::new(&journal), Dice::new(seed));
        let store = Faulty::over(memory());
        store.fail_at_random(Some(Dice::new(seed)));
        let projections = run(&journal, Arc::clone(&store) as _, batches_of(1 + dice.below(20) as usize)).await;
        trade(&mut teller, &mut dice, 300).await;
        assert_all_is_right(&projections, &journal).await;
        store.fail_at_random(None);
        projections.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_project_into_one_store_apply_each_event_once() {
    let journal = journal().await;
    let (mut teller, mut dice) = (Teller::new(&journal), Dice::new(3));
    let store = memory();
    let mut both = Vec::new();
    for _ in 0..2 {
        let mut options = batches_of(10);
        // They disturb each other all the time.
        options.supervision.restarts = u32::MAX;
        both.push(run(&journal, Arc::clone(&store), options).await);
    }
    trade(&mut teller, &mut dice, 300).await;
    let head = head(&journal).await;
    let at = |projections: &Projections| projections.progress().iter().map(|progress| progress.position).min();
    while both.iter().all(|projections| at(projections) != Some(head)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_balances(&both[0], &journal).await;
    assert_eq!(all(&both[1]).await.document.unwrap().content, everything(head.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn projections_that_are_stopped_and_started_continue_where_they_were() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal().await;
    let (mut teller, mut dice) = (Teller::new(&journal), Dice::new(5));
    for _ in 0..10 {
        let store = sqlite(directory.path()).await;
        let projections = run(&journal, Arc::clone(&store), batches_of(5)).await;
        trade(&mut teller, &mut dice, 20).await;
        projections.stop().await;
        store.close().await;
    }
    let projections = run(&journal, sqlite(directory.path()).await, options()).await;
    assert_all_is_right(&projections, &journal).await;
}

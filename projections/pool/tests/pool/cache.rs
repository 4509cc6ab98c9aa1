//! Cached answers are true: many readers read a view while it is written at full speed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dormouse_faults::Dice;
use dormouse_journal::Journal;
use dormouse_kernel::Position;
use dormouse_projections::store::Sqlite;
use dormouse_projections::{
    Event, Key, Keys, Project, Projection, Projections, Query, Sources, State, Usage, ViewStore,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::bank::{Account, AccountEvent, Balance, Balances, Defect, Expected, balances, balances_until};
use crate::faulty::Faulty;
use crate::world::{PATIENCE, Teller, account, caught_up, get, head, journal, memory, options, run};

const EVENTS: u64 = 500;
const READERS: u64 = 4;
/// The first ones change often, the last ones hardly ever.
const ACCOUNTS: u64 = 12;

fn usage(projections: &Projections) -> Usage {
    projections.cache().stats().views["balances"]
}

/// Whether the readers have found enough in the cache, and enough that was not there.
fn is_enough(projections: &Projections) -> bool {
    let Usage { hits, misses, .. } = usage(projections);
    hits > 100 && misses > 100
}

/// Writes events, publishes the last position, and waits for the view from time to time, so that there are many
/// commits. There are at least [`EVENTS`], and as many as the readers need.
fn write_events(mut teller: Teller, projections: &Projections, written: &Arc<AtomicU64>) -> JoinHandle<()> {
    let (projections, view) = (projections.clone(), projections.view::<Balances>().unwrap());
    let (mut dice, written) = (Dice::new(7), Arc::clone(written));
    tokio::spawn(async move {
        let mut count = 1;
        while count < EVENTS || !is_enough(&projections) {
            count += 1;
            assert!(count < 20 * EVENTS, "the readers read too little: {:?}", usage(&projections));
            let account = dice.below(ACCOUNTS).min(dice.below(ACCOUNTS)).min(dice.below(ACCOUNTS));
            let event = match dice.below(20) {
                0 => AccountEvent::Closed {},
                amount => AccountEvent::Deposited { amount: amount as i64 },
            };
            let position = teller.write(&account.to_string(), &[event]).await;
            written.store(position.0, Ordering::Release);
            if dice.one_in(4) {
                view.wait_for(position, PATIENCE).await.unwrap();
            }
            if count > EVENTS {
                // Only the readers are waited for.
                sleep(Duration::from_millis(5)).await;
            }
        }
    })
}

/// What a reader got, and at which position.
struct Observation {
    at: Position,
    /// `None`: the answer contains all accounts.
    account: Option<String>,
    accounts: Expected,
}

/// Reads documents and lists until the test is over, sometimes after waiting for the latest write.
fn read_documents(
    projections: &Projections,
    seed: u64,
    written: &Arc<AtomicU64>,
    is_over: &Arc<AtomicBool>,
) -> JoinHandle<Vec<Observation>> {
    let (view, reader) = (projections.view::<Balances>().unwrap(), projections.reader("balances").unwrap().clone());
    let (mut dice, written, is_over) = (Dice::new(seed), Arc::clone(written), Arc::clone(is_over));
    tokio::spawn(async move {
        let (mut observed, mut seen) = (Vec::new(), Position::ZERO);
        while !is_over.load(Ordering::Acquire) {
            if dice.one_in(4) {
                let wanted = Position(written.load(Ordering::Acquire));
                seen = seen.max(view.wait_for(wanted, PATIENCE).await.unwrap());
            }
            let (at, account, accounts) = if dice.one_in(8) {
                let page = reader.list(&Query::all(ACCOUNTS as usize)).await.unwrap();
                let read = |json: &str| serde_json::from_str::<Balance>(json).unwrap();
                let rows = page.rows.iter().map(|row| (row.key.to_string(), (read(&row.document), row.position)));
                (page.at, None, rows.collect())
            } else {
                let account = dice.below(ACCOUNTS).to_string();
                let answer = view.get(&Key::from(account.as_str())).await.unwrap();
                let found = answer.document.map(|document| (document.content, document.position));
                (answer.at, Some(account.clone()), found.map(|found| (account, found)).into_iter().collect())
            };
            assert!(at >= seen, "the view was seen at {seen}, and now at {at}");
            seen = at;
            observed.push(Observation { at, account, accounts });
            tokio::task::yield_now().await;
        }
        observed
    })
}

/// Checks that each answer was true at exactly its position.
async fn assert_all_are_true(journal: &Journal, observed: impl IntoIterator<Item = Observation>) {
    let mut observed: Vec<Observation> = observed.into_iter().collect();
    observed.sort_by_key(|observed| observed.at);
    let mut expected = (Position(u64::MAX), Expected::new());
    for Observation { at, account, accounts } in observed {
        if expected.0 != at {
            expected = (at, balances_until(journal, at).await);
        }
        let expected = expected.1.clone().into_iter().filter(|(name, _)| account.as_ref().is_none_or(|of| of == name));
        assert_eq!(accounts, expected.collect(), "{account:?} at {at}");
    }
}

async fn assert_reads_are_true(store: Arc<Faulty>, faults: Option<Dice>) {
    let journal = journal().await;
    let projections = run(&journal, Arc::clone(&store) as _, options()).await;
    let mut teller = Teller::new(&journal);
    teller.deposit("0", 1).await;
    caught_up(&projections, &journal).await;
    store.fail_at_random(faults);
    let (written, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let readers: Vec<_> = (0..READERS).map(|seed| read_documents(&projections, seed, &written, &is_over)).collect();
    write_events(teller, &projections, &written).await.unwrap();
    store.fail_at_random(None);
    caught_up(&projections, &journal).await;
    is_over.store(true, Ordering::Release);
    let mut observed = Vec::new();
    for reader in readers {
        observed.extend(reader.await.unwrap());
    }
    assert_all_are_true(&journal, observed).await;
    let head = head(&journal).await;
    assert!(head >= Position(EVENTS), "{head}");
    assert_eq!(balances_until(&journal, head).await, balances(&journal).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_answer_is_true_at_its_position_while_the_view_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Sqlite::open(directory.path(), 4).await.unwrap());
    assert_reads_are_true(Faulty::over(store), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_answer_is_true_while_commits_fail_and_their_responses_are_lost() {
    for seed in 0..2 {
        assert_reads_are_true(Faulty::over(memory()), Some(Dice::new(seed))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_loaded_once_until_it_changes() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    let projections = run(&journal, memory(), options()).await;
    let view = projections.view::<Balances>().unwrap();
    for number in 1..=3 {
        let changed = teller.deposit("a", 1).await;
        view.wait_for(changed, PATIENCE).await.unwrap();
        for _ in 0..10 {
            let answer = get(&view, "a").await;
            assert_eq!((answer.at, answer.document.unwrap().content.amount), (changed, number));
        }
        assert_eq!(usage(&projections).loads, number as u64);
        // The view moves, the document stays, and the answer has the new position.
        let elsewhere = teller.deposit("b", 1).await;
        view.wait_for(elsewhere, PATIENCE).await.unwrap();
        let answer = get(&view, "a").await;
        assert_eq!((answer.at, answer.document.unwrap().position), (elsewhere, changed));
        assert_eq!(usage(&projections).loads, number as u64);
    }
}

/// Raised before anything is done to the view of [`Editions`].
static EDITION: AtomicU64 = AtomicU64::new(1);
static POISON_IS_FIXED: AtomicBool = AtomicBool::new(true);

/// Each document contains the edition in which it was made. Poison panics only while `POISON_IS_FIXED` is false.
struct Editions;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Edition {
    edition: u64,
}

impl Projection for Editions {
    const NAME: &'static str = "editions";
    type Document = Edition;

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Account>()
    }
}

impl Project<Account> for Editions {
    fn keys(event: &Event<'_, Account>) -> Keys {
        Keys::one(event.id())
    }

    fn project(_: Option<Edition>, event: &Event<'_, Account>, _: &Key) -> Option<Edition> {
        let is_poison = matches!(event.body(), AccountEvent::Poison { .. });
        assert!(!is_poison || POISON_IS_FIXED.load(Ordering::SeqCst), "poison while POISON_IS_FIXED is false");
        Some(Edition { edition: EDITION.load(Ordering::SeqCst) })
    }
}

/// Written once, before anything else. They are written again only when the whole view is built again.
const QUIET: [&str; 3] = ["quiet-1", "quiet-2", "quiet-3"];

/// What a reader has seen of [`Editions`]. It must never see something older.
#[derive(Default)]
struct SeenEditions {
    /// The lowest edition that each document may have.
    least: HashMap<String, u64>,
    /// The lowest edition that the quiet ones may have.
    least_quiet: u64,
    /// The edition of the newest quiet one.
    newest: u64,
}

impl SeenEditions {
    fn sees(&mut self, at: Position, key: &str, edition: u64) {
        let least = self.least.entry(key.to_owned()).or_default();
        assert!(edition >= *least, "{key} at {at} was of edition {least}, and now of {edition}");
        *least = edition;
        if QUIET.contains(&key) {
            assert!(edition >= self.least_quiet, "{key} at {at} is of {edition}, not of {}", self.least_quiet);
            self.least_quiet = edition;
            self.newest = edition;
        }
    }

    /// A view at such an early position has been reset, and must not show anything from before.
    fn sees_view(&mut self, at: Position) {
        if at.0 < QUIET.len() as u64 {
            self.least_quiet = self.newest + 1;
        }
    }
}

fn read_editions(
    projections: &Projections,
    seed: u64,
    is_over: &Arc<AtomicBool>,
    reads: &Arc<AtomicU64>,
) -> JoinHandle<()> {
    let reader = projections.reader("editions").unwrap().clone();
    let (is_over, reads) = (Arc::clone(is_over), Arc::clone(reads));
    tokio::spawn(async move {
        let (mut dice, mut seen) = (Dice::new(seed), SeenEditions::default());
        let edition = |json: &str| serde_json::from_str::<Edition>(json).unwrap().edition;
        while !is_over.load(Ordering::Acquire) {
            if dice.one_in(8) {
                // Almost never the same list, so that the store answers it while documents are cached.
                let page = reader.list(&Query::all(100 + dice.below(10_000) as usize)).await.unwrap();
                seen.sees_view(page.at);
                page.rows.iter().for_each(|row| seen.sees(page.at, row.key.as_str(), edition(&row.document)));
            } else {
                let key = dice.pick(&["quiet-1", "quiet-2", "quiet-3", "sick", "busy"]);
                let found = reader.get(&Key::from(key)).await.unwrap();
                seen.sees_view(found.at);
                if let Some((document, _)) = &found.document {
                    seen.sees(found.at, key, edition(document));
                }
            }
            reads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    })
}

/// Parks an event and retries it with success. Then rebuilds the view, and resets it.
async fn run_operators(projections: &Projections, journal: &Journal, teller: &mut Teller) {
    let reader = projections.reader("editions").unwrap();
    let next = || EDITION.fetch_add(1, Ordering::SeqCst);
    POISON_IS_FIXED.store(false, Ordering::SeqCst);
    teller.write("sick", &[AccountEvent::Poison { defect: Defect::PanicsHalfWay }]).await;
    let behind = teller.deposit("sick", 1).await;
    reader.wait_for(behind, PATIENCE).await.unwrap();
    POISON_IS_FIXED.store(true, Ordering::SeqCst);
    next();
    let retried = projections.retry("editions", &account("sick")).await.unwrap();
    assert_eq!((retried.released, retried.still_parked), (2, None));
    next();
    let mut progress = reader.progress();
    let before = progress.borrow().build;
    projections.rebuild("editions", false).await.unwrap();
    let is_replaced = progress.wait_for(|progress| progress.build != before && progress.rebuild.is_none());
    tokio::time::timeout(PATIENCE, is_replaced).await.expect("it is replaced in time").unwrap();
    teller.deposit("busy", 1).await;
    next();
    projections.reset("editions", Position::ZERO).await.unwrap();
    reader.wait_for(head(journal).await, PATIENCE).await.unwrap();
    assert_eq!(reader.progress().borrow().state, State::Running);
}

async fn assert_nothing_old_comes_back(store: Arc<dyn ViewStore>, repetitions: usize) {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    for id in QUIET {
        teller.deposit(id, 1).await;
    }
    let store = Faulty::over(store);
    store.respond_late();
    let builder = Projections::builder(journal.clone(), store, options());
    let projections = builder.projection::<Editions>().start().await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let reads = [const { AtomicU64::new(0) }; READERS as usize].map(Arc::new);
    let read = |(seed, reads)| read_editions(&projections, seed, &is_over, reads);
    let readers: Vec<_> = (0..).zip(&reads).map(read).collect();
    let is_enough = || {
        let Usage { hits, loads, .. } = projections.cache().stats().views["editions"];
        hits > 100 && loads > 100 && reads.iter().all(|reads| reads.load(Ordering::Relaxed) > 100)
    };
    let has_failed = || readers.iter().any(JoinHandle::is_finished);
    // At least so many, and until the readers have read enough.
    let mut done = 0;
    while done < repetitions || !is_enough() && !has_failed() {
        done += 1;
        assert!(done < 1000, "the readers read too little");
        run_operators(&projections, &journal, &mut teller).await;
    }
    is_over.store(true, Ordering::Release);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_older_document_returns_over_retries_rebuilds_and_resets() {
    assert_nothing_old_comes_back(memory(), 20).await;
    let directory = tempfile::tempdir().unwrap();
    assert_nothing_old_comes_back(Arc::new(Sqlite::open(directory.path(), 4).await.unwrap()), 5).await;
}

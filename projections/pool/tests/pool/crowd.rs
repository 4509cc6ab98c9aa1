//! Many writers, and projections that are stopped and started while they are behind and while they are live: each event
//! has its effect once. The projections also check on their own whether an event is missing or comes twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use dormouse_config::{Config, PostgresUrl};
use dormouse_faults::Dice;
use dormouse_journal::store::{
    Access, Memory as MemoryJournal, Postgres as PostgresJournal, Retention, Sqlite as SqliteJournal,
};
use dormouse_journal::{Journal, PageLimit, Store};
use dormouse_kernel::{Position, Version};
use dormouse_projections::store::{Memory, Sqlite};
use dormouse_projections::{Event, Key, Keys, Options, Project, Projection, Projections, Query, Sources, ViewStore};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::bank::{Account, AccountEvent, Balances, Everything, balances, everything, trail};
use crate::world::{PATIENCE, Teller, head, options, postgres, postgres_url};

const EVENTS: u64 = 50_000;
const WRITERS: u64 = 32;

/// Aggregates of each writer.
const ACCOUNTS: u64 = 8;

/// The most events of one command.
const MOST_EVENTS: u64 = 9;

/// The version of the account's last event, and whether each event followed its predecessor.
struct Steps;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Step {
    version: u64,
    trail: u64,
    flaws: Vec<String>,
}

impl Projection for Steps {
    const NAME: &'static str = "steps";
    type Document = Step;

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Account>()
    }
}

impl Project<Account> for Steps {
    fn keys(event: &Event<'_, Account>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<Step>, event: &Event<'_, Account>, _: &Key) -> Option<Step> {
        let mut step = current.unwrap_or_default();
        if event.version() != Version(step.version).next() {
            step.flaws.push(format!("{} follows {}", event.version(), step.version));
        }
        step.version = event.version().0;
        step.trail = trail(step.trail, event.position());
        Some(step)
    }
}

/// A document that each odd version of an account creates and each even one removes.
struct Halves;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Half {
    version: u64,
    flaws: Vec<String>,
}

impl Projection for Halves {
    const NAME: &'static str = "halves";
    type Document = Half;

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Account>()
    }
}

impl Project<Account> for Halves {
    fn keys(event: &Event<'_, Account>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<Half>, event: &Event<'_, Account>, _: &Key) -> Option<Half> {
        let Version(version) = event.version();
        match current {
            None if version % 2 == 1 => Some(Half { version, flaws: Vec::new() }),
            Some(half) if half.flaws.is_empty() && half.version + 1 == version => None,
            // The document stays and contains the flaw.
            current => {
                let mut half = current.unwrap_or(Half { version: 0, flaws: Vec::new() });
                half.flaws.push(format!("{version} follows {}", half.version));
                Some(Half { version, ..half })
            }
        }
    }
}

/// Where journal and views are stored.
enum Place {
    Memory(Arc<dyn ViewStore>),
    Sqlite(TempDir),
    Postgres(PostgresUrl),
}

impl Place {
    fn memory() -> Self {
        Self::Memory(Arc::new(Memory::new()))
    }

    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    fn postgres() -> Self {
        Self::Postgres(postgres_url())
    }

    async fn journal(&self) -> Journal {
        let retention = Retention { keep_count: 1, max_age: Duration::from_secs(1), keep_sparse: 0 };
        let config = Config::embedded().journal;
        let store: Arc<dyn Store> = match self {
            Self::Memory(_) => Arc::new(MemoryJournal::new(retention)),
            Self::Sqlite(directory) => {
                Arc::new(SqliteJournal::open(directory.path(), &config, retention, Access::Own).await.unwrap())
            }
            Self::Postgres(url) => Arc::new(PostgresJournal::open(url, &config, retention, Access::Own).await.unwrap()),
        };
        Journal::start(store, dormouse_journal::Options::default()).await.unwrap()
    }

    /// Opens the views. Those in memory always stay open.
    async fn views(&self) -> Arc<dyn ViewStore> {
        match self {
            Self::Memory(store) => Arc::clone(store),
            Self::Sqlite(directory) => Arc::new(Sqlite::open(directory.path(), 2).await.unwrap()),
            Self::Postgres(url) => postgres(url).await,
        }
    }

    /// Closes views that can be opened again.
    async fn leave(&self, views: &dyn ViewStore) {
        if !matches!(self, Self::Memory(_)) {
            views.close().await;
        }
    }
}

/// Four projections that run, and their store.
struct RunningProjections {
    projections: Projections,
    views: Arc<dyn ViewStore>,
}

impl RunningProjections {
    async fn start(place: &Place, journal: &Journal, batch_events: usize) -> Self {
        let views = place.views().await;
        let options = Options { batch_events: batch_events.try_into().unwrap(), ..options() };
        let builder = Projections::builder(journal.clone(), Arc::clone(&views), options);
        let builder = builder.projection::<Balances>().projection::<Everything>();
        let projections = builder.projection::<Steps>().projection::<Halves>().start().await.unwrap();
        Self { projections, views }
    }

    /// Waits until all views have reached a position.
    async fn reach(&self, position: Position) {
        for reader in self.projections.readers() {
            reader.wait_for(position, PATIENCE).await.unwrap();
        }
    }

    async fn stop(self, place: &Place) {
        self.projections.stop().await;
        place.leave(&*self.views).await;
    }

    /// All documents of a view.
    async fn documents<P: Projection>(&self) -> Documents<P::Document> {
        let page = self.projections.reader(P::NAME).unwrap().list(&Query::all(10_000)).await.unwrap();
        let rows = page.rows.into_iter();
        rows.map(|row| (row.key.to_string(), (serde_json::from_str(&row.document).unwrap(), row.position))).collect()
    }
}

/// Writers that write as much as they are allowed to, each to its own accounts and, by transfers, into the documents of
/// others.
struct Writers {
    tasks: JoinSet<()>,
    /// How many events all writers together may have written.
    allowed: watch::Sender<u64>,
}

impl Writers {
    fn at(journal: &Journal) -> Self {
        let allowed = watch::Sender::new(0);
        let mut tasks = JoinSet::new();
        for writer in 0..WRITERS {
            let (journal, allowed) = (journal.clone(), allowed.subscribe());
            tasks.spawn(write(writer, journal, allowed));
        }
        Self { tasks, allowed }
    }

    /// Lets them write until the log has this many events.
    fn go_on(&self, events: u64) {
        self.allowed.send_replace(events);
    }
}

async fn write(writer: u64, journal: Journal, mut allowed: watch::Receiver<u64>) {
    let (mut teller, mut dice) = (Teller::new(&journal), Dice::new(writer));
    let mut written = 0;
    while let Ok(allowed) = allowed.wait_for(|allowed| share(*allowed, writer) > written).await.map(|all| *all) {
        let events = (1 + dice.below(MOST_EVENTS)).min(share(allowed, writer) - written);
        let events: Vec<AccountEvent> = (0..events).map(|_| some_event(&mut dice)).collect();
        teller.write(&format!("{writer}-{}", dice.below(ACCOUNTS)), &events).await;
        written += events.len() as u64;
        if written == share(EVENTS, writer) {
            return;
        }
    }
}

/// How many of these events belong to this writer.
fn share(events: u64, writer: u64) -> u64 {
    (events + WRITERS - 1 - writer) / WRITERS
}

fn some_event(dice: &mut Dice) -> AccountEvent {
    let amount = dice.below(100) as i64;
    match dice.below(10) {
        0 => AccountEvent::Closed {},
        1..4 => AccountEvent::Transferred { to: format!("{}-{}", dice.below(WRITERS), dice.below(ACCOUNTS)), amount },
        _ => AccountEvent::Deposited { amount },
    }
}

/// The projections start in the middle of the log. They are stopped while they are behind, and again while they are
/// live.
async fn nothing_is_skipped_nor_seen_twice(place: Place) {
    let journal = place.journal().await;
    let mut writers = Writers::at(&journal);
    writers.go_on(EVENTS * 3 / 10);
    until(&journal, EVENTS * 3 / 10).await;

    let behind = RunningProjections::start(&place, &journal, 500).await;
    writers.go_on(EVENTS * 6 / 10);
    behind.reach(Position(EVENTS / 10)).await;
    behind.stop(&place).await;

    let live = RunningProjections::start(&place, &journal, 8192).await;
    until(&journal, EVENTS * 6 / 10).await;
    live.reach(Position(EVENTS * 6 / 10)).await;
    writers.go_on(EVENTS);
    live.reach(Position(EVENTS * 7 / 10)).await;
    live.stop(&place).await;

    let last = RunningProjections::start(&place, &journal, 8192).await;
    while let Some(ended) = writers.tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!(head(&journal).await, Position(EVENTS));
    last.reach(Position(EVENTS)).await;
    assert!(last.projections.progress().iter().all(|progress| progress.parked == 0));

    let (steps, halves) = steps_and_halves(&journal).await;
    assert_same(&last.documents::<Steps>().await, &steps);
    assert_same(&last.documents::<Halves>().await, &halves);
    assert_same(&last.documents::<Balances>().await, &balances(&journal).await);
    let all = BTreeMap::from([("all".to_owned(), (everything(EVENTS), Position(EVENTS)))]);
    assert_same(&last.documents::<Everything>().await, &all);
    last.stop(&place).await;
}

async fn until(journal: &Journal, events: u64) {
    let mut head = journal.head();
    let reached = tokio::time::timeout(PATIENCE, head.wait_for(|head| head.0 >= events)).await;
    reached.expect("the writers go on").unwrap();
}

/// Each document with the last event that changed it.
type Documents<D> = BTreeMap<String, (D, Position)>;

/// Reports only a few documents that differ.
#[track_caller]
fn assert_same<D: PartialEq + Debug>(found: &Documents<D>, expected: &Documents<D>) {
    let keys: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let differing = keys.into_iter().filter(|key| found.get(*key) != expected.get(*key));
    let differing: Vec<_> = differing.map(|key| (key, found.get(key), expected.get(key))).take(3).collect();
    assert!(differing.is_empty(), "found and expected: {differing:#?}");
}

/// What the views must contain, calculated from the log.
async fn steps_and_halves(journal: &Journal) -> (Documents<Step>, Documents<Half>) {
    let (mut steps, mut halves) = (Documents::<Step>::new(), Documents::new());
    for event in journal.read_log(Position::ZERO, PageLimit::ALL).await.unwrap() {
        let (id, position) = (event.aggregate.id.to_string(), event.position);
        let (step, changed) = steps.entry(id.clone()).or_insert((Step::default(), position));
        step.version += 1;
        step.trail = trail(step.trail, position);
        *changed = position;
        match step.version % 2 {
            0 => drop(halves.remove(&id)),
            _ => drop(halves.insert(id, (Half { version: step.version, flaws: Vec::new() }, position))),
        }
    }
    (steps, halves)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_of_32_writers_is_skipped_nor_seen_twice_in_memory() {
    nothing_is_skipped_nor_seen_twice(Place::memory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_of_32_writers_is_skipped_nor_seen_twice_on_sqlite() {
    nothing_is_skipped_nor_seen_twice(Place::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_of_32_writers_is_skipped_nor_seen_twice_on_postgres() {
    nothing_is_skipped_nor_seen_twice(Place::postgres()).await;
}

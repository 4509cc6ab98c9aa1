//! How fast events come into a view in SQLite or PostgreSQL. Not a benchmark with a baseline, which `benches/` will have: a figure to
//! look at while the code changes.
//!
//!     cargo test --release -p dormouse-projections --test speed -- --ignored --nocapture

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in what it is made of")]

#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "pool/bank.rs"]
mod bank;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "pool/world.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use dormouse_config::Config;
use dormouse_journal::store::{Access, Retention, Sqlite as SqliteJournal};
use dormouse_journal::{Append, Journal, Submission};
use dormouse_kernel::Position;
use dormouse_projections::store::Sqlite;
use dormouse_projections::{Options, Projections, ViewStore};

use bank::{AccountEvent, Balances};
use world::Teller;

const DOCUMENTS: usize = 5_000;
const EVENTS: usize = 600_000;

async fn projections(journal: &Journal, directory: &tempfile::TempDir) -> Projections {
    into(journal, Arc::new(Sqlite::open(directory.path(), 2).await.unwrap()), Options::default()).await
}

async fn into(journal: &Journal, store: Arc<dyn ViewStore>, options: Options) -> Projections {
    let builder = Projections::builder(journal.clone(), store, options);
    builder.projection::<Balances>().start().await.unwrap()
}

/// One event each, of accounts in a scattered order.
fn appends(journal: &Journal) -> Vec<Append> {
    let mut teller = Teller::new(journal);
    let account = |number: usize| (number.wrapping_mul(2_654_435_761) >> 7) % DOCUMENTS;
    let deposit = |number: usize| AccountEvent::Deposited { amount: number as i64 % 100 };
    (0..EVENTS).map(|number| teller.append(&format!("account-{}", account(number)), &[deposit(number)])).collect()
}

async fn write(journal: &Journal, appends: Vec<Append>) {
    for append in appends {
        journal.submit(Submission::append(append, None, |outcome| assert!(outcome.is_ok()))).await;
    }
    journal.flush().await;
}

async fn follow(projections: &Projections, started: Instant, what: &str) {
    let view = projections.view::<Balances>().unwrap();
    view.wait_for(Position(EVENTS as u64), Duration::from_secs(600)).await.unwrap();
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{what}: {:.0} events/s ({EVENTS} events, {DOCUMENTS} documents, {seconds:.2} s)",
        EVENTS as f64 / seconds
    );
    projections.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a while, and means something only in a release build"]
async fn events_per_second_into_sqlite() {
    let directories: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let journal = world::journal().await;
    let all = appends(&journal);

    let live = projections(&journal, &directories[0]).await;
    let started = Instant::now();
    write(&journal, all.clone()).await;
    println!("written to a journal in memory: {:.0} events/s", EVENTS as f64 / started.elapsed().as_secs_f64());
    follow(&live, started, "live, journal in memory").await;

    let started = Instant::now();
    follow(&projections(&journal, &directories[1]).await, started, "from the start, journal in memory").await;

    let config = Config::embedded().journal;
    let retention = Retention { keep_count: 1, max_age: Duration::from_secs(1) };
    let store = SqliteJournal::open(directories[2].path(), &config, retention, Access::Own).await.unwrap();
    let journal = Journal::start(Arc::new(store), dormouse_journal::Options::default()).await.unwrap();
    let started = Instant::now();
    write(&journal, all).await;
    println!("written to a journal in SQLite: {:.0} events/s", EVENTS as f64 / started.elapsed().as_secs_f64());
    let started = Instant::now();
    follow(&projections(&journal, &directories[3]).await, started, "from the start, journal in SQLite").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a while, and means something only in a release build"]
async fn events_per_second_into_postgres() {
    let journal = world::journal().await;
    write(&journal, appends(&journal)).await;
    for _ in 0..2 {
        for events in [500, 2_000, 8_000] {
            let store = world::postgres(&world::postgres_url()).await;
            let options = Options { batch_events: events.try_into().unwrap(), ..Options::default() };
            let started = Instant::now();
            follow(&into(&journal, store, options).await, started, &format!("batches of {events}")).await;

            let directory = tempfile::tempdir().unwrap();
            let store = Arc::new(Sqlite::open(directory.path(), 2).await.unwrap());
            let options = Options { batch_events: events.try_into().unwrap(), ..Options::default() };
            let started = Instant::now();
            follow(&into(&journal, store, options).await, started, &format!("SQLite, batches of {events}")).await;
        }
    }
}

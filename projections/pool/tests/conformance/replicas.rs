//! Reading from replicas: they relieve the primary, and readers notice no other difference.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dormouse_harness::{Postgres as Server, eventually};
use dormouse_kernel::Position;
use dormouse_projections::store::{Advance, Begin, BuildNumber, DocumentAt, Error, Offset, Postgres};
use dormouse_projections::{Query, ViewStore};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::support::{begun, first, key, limits, offset, postgres_url, row, step};

const BOUND: Duration = Duration::from_secs(30);

/// A store that has waited so long for a replica does not read it until the next probe. A replica on a busy machine can
/// be that slow.
const REPLY_LIMIT: Duration = Duration::from_millis(500);

/// A primary with a database, and a replica that logs its statements.
struct Pair {
    primary: Server,
    replica: Server,
    url: String,
    replica_url: String,
}

impl Pair {
    fn start() -> Self {
        let primary = Server::start();
        let url = primary.create_database();
        // The primary has not loaded the setting; its replica starts with it.
        primary.query(&url, "ALTER SYSTEM SET log_statement = 'all'");
        let replica = primary.start_replica();
        let replica_url = replica.url("dormouse_0");
        Self { primary, replica, url, replica_url }
    }

    async fn store(&self) -> Arc<dyn ViewStore> {
        open(&self.url, &self.replica_url).await
    }

    /// Waits until the replica serves all reads, each with the document of a position.
    fn answers(&self, store: &Arc<dyn ViewStore>, at: u64) {
        eventually("answers of the replica", BOUND, || {
            let before = self.asked();
            for _ in 0..10 {
                let read = async { store.get(&first(), &key("a")).await };
                let read = block_in_place(|| Handle::current().block_on(read));
                assert_eq!(read, Ok(shows(at)));
            }
            self.asked() == before + 10
        });
    }

    /// The number of documents and lists that were read from the replica.
    fn asked(&self) -> u64 {
        // In the look that is taken once a second, no comma follows the mark. The `||` keeps this statement itself from
        // matching.
        const COUNT: &str =
            "SELECT count(*) FROM regexp_matches(pg_read_file('../log'), 'xmin::text::bigint' || ',', 'g')";
        self.replica.query(&self.replica_url, COUNT).parse().unwrap()
    }
}

async fn open(url: &str, replica: &str) -> Arc<dyn ViewStore> {
    let opened = Postgres::open(&postgres_url(url), &[postgres_url(replica)], Postgres::SCHEMA, 4, &limits()).await;
    Arc::new(opened.unwrap())
}

/// The reason why the replica is not read.
fn problem(store: &Arc<dyn ViewStore>) -> Option<String> {
    store.replicas().remove(0).problem
}

/// Waits until the replica is read and has everything.
fn is_read(store: &Arc<dyn ViewStore>) {
    eventually("the use of the replica", BOUND, || {
        let status = store.replicas().remove(0);
        status.problem.is_none() && status.lag == Some(0)
    });
}

/// Reads while only the replica can be read. A read fails only if the replica was too slow for it, and is tried again.
async fn from_replica<T>(store: &Arc<dyn ViewStore>, read: impl AsyncFn() -> Result<T, Error>) -> T {
    loop {
        is_read(store);
        let began = Instant::now();
        match read().await {
            Ok(found) => return found,
            Err(error) => assert!(problem(store).is_some() || began.elapsed() >= REPLY_LIMIT, "{error}"),
        }
    }
}

/// Commits a document that contains its position.
async fn write(store: &Arc<dyn ViewStore>, build: BuildNumber, at: u64) {
    let rows = vec![row("a", &at.to_string(), at)];
    store.commit(&first(), build, Advance { rows, ..step(at - 1, at) }).await.unwrap();
}

fn shows(at: u64) -> DocumentAt {
    DocumentAt { document: Some((at.to_string().into(), Position(at))), at: Position(at) }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_and_lists_are_read_from_a_replica_even_while_the_primary_is_down() {
    let mut pair = Pair::start();
    let (store, view) = (pair.store().await, first());
    let build = begun(&store, &view).await;
    write(&store, build, 1).await;
    is_read(&store);
    pair.answers(&store, 1);
    let before = pair.asked();
    pair.primary.stop_immediate();
    for _ in 0..50 {
        assert_eq!(from_replica(&store, async || store.get(&view, &key("a")).await).await, shows(1));
        let page = from_replica(&store, async || store.list(&view, &Query::all(10).counting()).await).await;
        assert_eq!((page.rows, page.at, page.total), (vec![row("a", "1", 1)], Position(1), Some(1)));
    }
    assert!(pair.asked() >= before + 100);
    pair.primary.start_again();
    write(&store, build, 2).await;
    assert_eq!(store.get(&view, &key("a")).await, Ok(shows(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_read_however_far_behind_the_replica_is() {
    const COMMITS: u64 = 500;

    let pair = Pair::start();
    let (store, view) = (pair.store().await, first());
    let build = begun(&store, &view).await;
    write(&store, build, 1).await;
    is_read(&store);
    pair.replica.pause_replay();
    is_read(&store);
    let (started, before) = (Instant::now(), pair.asked());
    let mut at = 1;
    // At least so many, and until the replica was asked: one that was too slow is not asked until the next probe.
    while at < COMMITS || pair.asked() == before {
        at += 1;
        assert!(at < 2 * COMMITS, "it was never in question");
        eventually("the use of the replica", BOUND, || problem(&store).is_none());
        write(&store, build, at).await;
        assert_eq!(store.get(&view, &key("a")).await, Ok(shows(at)));
        let page = store.list(&view, &Query::all(10)).await.unwrap();
        assert_eq!((page.rows, page.at), (vec![row("a", &at.to_string(), at)], Position(at)));
    }
    let asked = pair.asked() - before;
    // One may have been left from the last probe, and each probe allows one more.
    let allowed = started.elapsed().as_secs() + 2;
    assert!(asked <= allowed, "{asked} questions were asked twice, and {allowed} are allowed");
    pair.replica.resume_replay();
    pair.answers(&store, at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_without_a_new_position_is_read_too() {
    let pair = Pair::start();
    let (store, view) = (pair.store().await, first());
    let build = begun(&store, &view).await;
    write(&store, build, 1).await;
    is_read(&store);
    pair.replica.pause_replay();
    for attempt in 0..3 {
        is_read(&store);
        // A commit at the same position, as for released events.
        let rows = vec![row("a", &format!("\"{attempt}\""), 1)];
        store.commit(&view, build, Advance { rows, ..step(1, 1) }).await.unwrap();
        let found = store.get(&view, &key("a")).await.unwrap();
        assert_eq!(found.document.unwrap().0.as_ref(), format!("\"{attempt}\""));
    }
    // A build at the same position takes the place of the old one.
    let next = store.begin(&view, Offset::START, Begin::Beside).await.unwrap().number;
    let rows = vec![row("a", "\"next\"", 1)];
    store.commit(&view, next, Advance { rows, ..step(0, 1) }).await.unwrap();
    assert!(store.serve(&view, next).await.unwrap());
    for _ in 0..10 {
        let found = store.get(&view, &key("a")).await.unwrap();
        assert_eq!(found.document.unwrap().0.as_ref(), "\"next\"");
    }
    // A store that is opened later, and has committed nothing, reads the same.
    let later = pair.store().await;
    assert_eq!(later.prepare(&view).await.unwrap().serving.map(|build| build.offset), Some(offset(1)));
    for _ in 0..10 {
        let found = later.get(&view, &key("a")).await.unwrap();
        assert_eq!(found.document.unwrap().0.as_ref(), "\"next\"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_do_not_notice_that_a_replica_dies_and_comes_back() {
    let mut pair = Pair::start();
    let (store, view) = (pair.store().await, first());
    let build = begun(&store, &view).await;
    write(&store, build, 1).await;
    is_read(&store);
    let (is_over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)));
    let writer = tokio::spawn({
        let (store, is_over, written) = (Arc::clone(&store), Arc::clone(&is_over), Arc::clone(&written));
        async move {
            let mut at = 1;
            while !is_over.load(Ordering::Acquire) {
                at += 1;
                write(&store, build, at).await;
                written.store(at, Ordering::Release);
                // The pause lets the replica catch up.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    });
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (store, is_over, written) = (Arc::clone(&store), Arc::clone(&is_over), Arc::clone(&written));
            let view = view.clone();
            tokio::spawn(async move {
                let mut last = Position(0);
                while !is_over.load(Ordering::Acquire) {
                    let written = written.load(Ordering::Acquire);
                    let found = store.get(&view, &key("a")).await.unwrap();
                    assert!(found.at.0 >= written && found.at >= last, "{found:?} after {written}");
                    assert_eq!(found, shows(found.at.0));
                    last = found.at;
                    let page = store.list(&view, &Query::all(1)).await.unwrap();
                    assert!(page.at >= last);
                    last = page.at;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    for _ in 0..2 {
        let before = pair.asked();
        eventually("reads at the replica", BOUND, || pair.asked() > before);
        pair.replica.stop_immediate();
        eventually("the end of its use", BOUND, || problem(&store).is_some());
        pair.replica.start_again();
        eventually("its use", BOUND, || problem(&store).is_none());
    }
    let before = pair.asked();
    eventually("reads at the replica", BOUND, || pair.asked() > before);
    is_over.store(true, Ordering::Release);
    for reader in readers {
        reader.await.unwrap();
    }
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_follow_the_primary_is_not_read_and_does_not_prevent_the_start() {
    let server = Server::shared();
    let (url, other) = (server.create_database(), server.create_database());
    for (replica, reason) in [
        (url.as_str(), "it follows no other server any more"),
        // It has no views either, but its identity is checked first.
        (other.as_str(), "it is another database"),
        ("postgres://me:hunter2@127.0.0.1:1/nowhere", "refused"),
    ] {
        let store = open(&url, replica).await;
        let build = begun(&store, &first()).await;
        write(&store, build, 1).await;
        eventually("a look", BOUND, || problem(&store).is_some_and(|problem| problem.contains(reason)));
        assert!(!format!("{:?}", store.replicas()).contains("hunter2"));
        assert_eq!(store.get(&first(), &key("a")).await, Ok(shows(1)));
        store.close().await;
    }
}

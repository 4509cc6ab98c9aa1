//! The PostgreSQL store when its connections fail, at the worst moments.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use dormouse_harness::{Cut, Direction, Fault, Moment, Postgres as Server, Proxy};
use dormouse_journal::store::{Access, Placed, Postgres};
use dormouse_journal::{CommitError, Store, StoreError};
use dormouse_kernel::Position;

use crate::support::{History, PATIENCE, config, postgres_url, retention, start, whole_log};

/// A part of the statement that appends, and of no other.
const APPEND: &str = "INSERT INTO events";

/// A part of the statement that takes the journal over, and of no other.
const ACQUIRE: &str = "SET epoch = epoch + 1";

/// A store that gives up early, so that the tests need not wait long for a lost reply.
async fn store_at(url: &str) -> Arc<dyn Store> {
    let mut config = config().journal;
    config.postgres.connect_timeout = Duration::from_secs(2);
    config.postgres.statement_timeout = Duration::from_secs(2);
    config.postgres.lock_timeout = Duration::from_secs(1);
    Arc::new(Postgres::open(&postgres_url(url), &config, retention(), Access::Own).await.unwrap())
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("nothing waits for ever")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_whose_reply_is_cut_off_is_resolved() {
    let proxy = Proxy::before(&Server::shared().create_database());
    let journal = start(store_at(proxy.url()).await).await;
    let mut account = History::of("a");
    for appended in 1..=3 {
        proxy.strike(APPEND, Moment::BeforeAnswer, Fault::Cut(Cut::Fin));
        assert_eq!(journal.append(account.next(2)).await.unwrap().last, Position(appended * 2));
        assert!(proxy.has_struck());
    }
    assert_eq!(whole_log(&journal).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acquisition_whose_reply_is_cut_off_recognizes_itself() {
    let proxy = Proxy::before(&Server::shared().create_database());
    let cut_the_answer = || proxy.strike(ACQUIRE, Moment::BeforeAnswer, Fault::Cut(Cut::Reset));
    let store = store_at(proxy.url()).await;
    let first = store.acquire(None).await.unwrap();
    for _ in 0..2 {
        cut_the_answer();
        let lost = store.acquire(Some(first.epoch)).await;
        assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
        assert!(proxy.has_struck());
    }
    let confirmed = store.acquire(Some(first.epoch)).await.unwrap();
    assert!(confirmed.epoch > first.epoch.next());
    // After the confirmation the old epoch is like any other.
    assert_eq!(store.acquire(Some(first.epoch)).await, Err(StoreError::Fenced));

    cut_the_answer();
    store.acquire(Some(confirmed.epoch)).await.unwrap_err();
    store_at(proxy.url()).await.acquire(None).await.unwrap();
    assert_eq!(
        store.acquire(Some(confirmed.epoch)).await,
        Err(StoreError::Fenced),
        "another owner has taken over since"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_is_made_again_if_it_was_lost_on_the_way_or_before_its_commit() {
    let proxy = Proxy::before(&Server::shared().create_database());
    let journal = start(store_at(proxy.url()).await).await;
    let mut account = History::of("a");
    let faults = [Fault::Cut(Cut::Fin), Fault::Cut(Cut::Reset)];
    let mut last = 0;
    for (moment, fault) in [Moment::BeforeRequest, Moment::BeforeCommit].into_iter().zip(faults) {
        proxy.strike(APPEND, moment, fault);
        last += 2;
        assert_eq!(in_time(journal.append(account.next(2))).await.unwrap().last, Position(last));
        assert!(proxy.has_struck());
    }
    assert_eq!(whole_log(&journal).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_on_a_connection_that_goes_silent_is_resolved_once_there_is_another() {
    for moment in [Moment::BeforeRequest, Moment::BeforeCommit, Moment::BeforeAnswer] {
        let proxy = Proxy::before(&Server::shared().create_database());
        let journal = start(store_at(proxy.url()).await).await;
        let mut account = History::of("a");
        journal.append(account.next(1)).await.unwrap();
        proxy.strike(APPEND, moment, Fault::Silence);
        let append = tokio::spawn({
            let (journal, append) = (journal.clone(), account.next(2));
            async move { journal.append(append).await }
        });
        while !proxy.has_struck() {
            tokio::task::yield_now().await;
        }
        proxy.restore();
        // The old connection stays silent, and before the commit it holds the lock of the head row.
        assert_eq!(in_time(append).await.unwrap().unwrap().last, Position(3), "{moment:?}");
        assert_eq!(whole_log(&journal).await.len(), 3, "{moment:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_on_connections_that_went_silent_give_their_permits_back() {
    let proxy = Proxy::before(&Server::shared().create_database());
    let store = store_at(proxy.url()).await;
    for way in [Direction::Requests, Direction::Answers] {
        in_time(all_read(&store)).await;
        proxy.go_silent(way);
        let silenced = in_time(heads(&store)).await;
        assert!(silenced.iter().all(|read| matches!(read, Err(StoreError::Unavailable(_)))), "{silenced:?}");
        proxy.restore();
        in_time(all_read(&store)).await;
    }
}

/// Reads again and again, until no reader fails: on a busy machine, one may not get a connection in time.
async fn all_read(store: &Arc<dyn Store>) {
    while !heads(store).await.iter().all(Result::is_ok) {}
}

/// More readers than connections, at once.
async fn heads(store: &Arc<dyn Store>) -> Vec<Result<Position, StoreError>> {
    let reads: Vec<_> = (0..50)
        .map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.head().await })
        })
        .collect();
    let mut results = Vec::new();
    for read in reads {
        results.push(read.await.unwrap());
    }
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_on_a_dead_connection_is_repeated_on_another() {
    let proxy = Proxy::before(&Server::shared().create_database());
    let store = store_at(proxy.url()).await;
    let owner = store.acquire(None).await.unwrap();
    let append = Arc::new(History::of("a").next(1));
    store.commit(owner.epoch, &[Placed { first: Position(1), append: Arc::clone(&append) }]).await.unwrap();
    for cut in [Cut::Fin, Cut::Reset] {
        assert_eq!(store.head().await, Ok(Position(1)));
        assert_eq!(store.versions(slice::from_ref(&append.aggregate)).await.unwrap().len(), 1);
        // The connection was used a moment ago, so it is not tested before its next use.
        proxy.cut(cut);
        assert_eq!(store.head().await, Ok(Position(1)));
        assert_eq!(store.versions(slice::from_ref(&append.aggregate)).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_stopped_before_its_commit_does_not_hold_up_its_successor() {
    let url = Server::shared().create_database();
    let proxy = Proxy::before(&url);
    let owner = store_at(proxy.url()).await;
    let epoch = owner.acquire(None).await.unwrap().epoch;
    let batch = [Placed { first: Position(1), append: Arc::new(History::of("a").next(1)) }];
    proxy.strike(APPEND, Moment::BeforeCommit, Fault::Hold);
    let stopped = tokio::spawn(async move { owner.commit(epoch, &batch).await });
    while !proxy.has_struck() {
        tokio::task::yield_now().await;
    }
    let successor = store_at(&url).await;
    let taken_over = in_time(successor.acquire(None)).await.unwrap();
    assert_eq!(taken_over.head, Position(0));
    proxy.restore();
    let outcome = in_time(stopped).await.unwrap();
    assert!(matches!(outcome, Err(CommitError::Unknown(_))), "{outcome:?}");
    assert_eq!(successor.head().await, Ok(Position(0)));
}

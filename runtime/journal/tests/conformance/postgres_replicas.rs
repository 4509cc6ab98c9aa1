//! Reading the log from replicas: no event is missing or late because of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dormouse_harness::{Postgres as Server, eventually};
use dormouse_journal::store::{Access, Postgres};
use dormouse_journal::{PageLimit, Store};
use dormouse_kernel::{Position, RecordedEvent};

use crate::support::{History, config, postgres_url, retention, start};

const PAGE: usize = 50;
const BOUND: Duration = Duration::from_secs(30);

async fn read(store: &Arc<dyn Store>) -> Vec<RecordedEvent> {
    let mut log = Vec::new();
    loop {
        let page = store.read_log(Position(log.len() as u64), PageLimit::events(PAGE)).await.unwrap();
        let is_last = page.len() < PAGE;
        log.extend(page);
        if is_last {
            return log;
        }
    }
}

/// How many pages were read from the replica.
fn asked(replica: &Server) -> usize {
    const COUNT: &str = "SELECT count(*) FROM regexp_matches(pg_read_file('../log'), 'WHERE position >' || ' ', 'g')";
    replica.query(&replica.url("postgres"), COUNT).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_grows_is_read_from_a_replica_without_a_gap_and_without_delay() {
    let primary = Server::start();
    let url = primary.create_database();
    primary.query(&url, "ALTER SYSTEM SET log_statement = 'all'");
    let mut replica = primary.start_replica();
    let mut config = config();
    config.journal.replicas = vec![postgres_url(&replica.url("dormouse_0"))];
    let opened = Postgres::open(&postgres_url(&url), &config.journal, retention(), Access::Own).await;
    let store: Arc<dyn Store> = Arc::new(opened.unwrap());
    let journal = start(Arc::clone(&store)).await;
    let mut account = History::of("a");
    for _ in 0..100 {
        journal.append(account.next(5)).await.unwrap();
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (journal, is_over) = (journal.clone(), Arc::clone(&is_over));
        async move {
            while !is_over.load(Ordering::Acquire) {
                journal.append(account.next(3)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            account
        }
    });
    let mut log: Vec<RecordedEvent> = Vec::new();
    let mut check = async || {
        let committed = journal.head().borrow().0;
        let found = read(&store).await;
        assert!(found.len() as u64 >= committed, "{} events of {committed}", found.len());
        assert!((1..).zip(&found).all(|(position, event)| event.position == Position(position)));
        assert!(log.iter().zip(&found).all(|(before, now)| before.event.chain == now.event.chain));
        log = found;
    };
    let is_read = |store: &Arc<dyn Store>| store.replicas()[0].problem.is_none();
    eventually("the use of the replica", BOUND, || is_read(&store));
    while asked(&replica) < 20 {
        check().await;
    }
    replica.pause_replay();
    for _ in 0..20 {
        check().await;
    }
    replica.resume_replay();
    replica.stop_immediate();
    while is_read(&store) {
        check().await;
    }
    check().await;
    replica.start_again();
    eventually("the use of the replica", BOUND, || is_read(&store));
    let before = asked(&replica);
    while asked(&replica) == before {
        check().await;
    }
    is_over.store(true, Ordering::Release);
    let account = writer.await.unwrap();
    let log = read(&store).await;
    assert_eq!(log.last().unwrap().event.chain, account.chain);
}

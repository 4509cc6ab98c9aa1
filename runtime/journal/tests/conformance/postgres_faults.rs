//! Tests of PostgreSQL only: lost connections, a lost server, foreign databases, damaged rows.

use std::sync::Arc;

use dormouse_harness::Postgres as Server;
use dormouse_journal::store::{Access, Migrated, Placed, Postgres};
use dormouse_journal::{
    AppendError, AsOf, CommitError, Health, Journal, OpenError, PageLimit, Snapshot, Store, StoreError,
};
use dormouse_kernel::{Chain, CommandKey, Position, Timestamp, Version};

use crate::support::{
    History, PATIENCE, account, becomes, config, postgres_url, retention, start, submit, whole_history, whole_log,
};

const TERMINATE_WRITERS: &str = "
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'dormouse writer'";

async fn open(url: &str, access: Access) -> Result<Arc<dyn Store>, OpenError> {
    let opened = Postgres::open(&postgres_url(url), &config().journal, retention(), access).await;
    opened.map(|store| Arc::new(store) as _)
}

async fn journal(url: &str) -> Journal {
    start(open(url, Access::Own).await.unwrap()).await
}

/// Runs SQL on a connection beside the journal's, on a blocking thread.
async fn query(server: &'static Server, url: &str, sql: &'static str) -> String {
    let url = url.to_owned();
    tokio::task::spawn_blocking(move || server.query(&url, sql)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_session_ends_between_commits_continues() {
    let server = Server::shared();
    let url = server.create_database();
    let journal = journal(&url).await;
    let mut account = History::of("a");
    for appended in 1..=3 {
        journal.append(account.next(2)).await.unwrap();
        let terminated = query(server, &url, TERMINATE_WRITERS).await;
        assert!(terminated.lines().any(|line| line == "t"), "{terminated:?}");
        assert_eq!(journal.append(account.next(1)).await.unwrap().last, Position(appended * 3));
    }
    assert_eq!(whole_history(&journal, &account.aggregate).await.len(), 9);
    assert_eq!(*journal.health().borrow(), Health::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_idle_when_the_server_ended_them_are_opened_again_without_an_error() {
    const IDLE: &str = "
        SELECT bool_and(state_change < now() - interval '1100 milliseconds') FROM pg_stat_activity
        WHERE datname = current_database() AND application_name IN ('dormouse writer', 'dormouse checks')";
    const TERMINATE: &str = "
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'dormouse %'";

    let server = Server::shared();
    let url = server.create_database();
    let journal = journal(&url).await;
    let mut account = History::of("a");
    let key = CommandKey::new("k-1").unwrap();
    journal.append(account.next(1)).await.unwrap();
    assert_eq!(journal.find_command(&account.aggregate, &key).await, Ok(None));

    // Idle for longer than a connection is used without a test.
    while query(server, &url, IDLE).await != "t" {
        tokio::task::yield_now().await;
    }
    query(server, &url, TERMINATE).await;
    assert_eq!(journal.find_command(&account.aggregate, &key).await, Ok(None));
    assert_eq!(journal.append(account.next(1)).await.unwrap().last, Position(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_terminated_during_commits_loses_nothing_and_doubles_nothing() {
    const ACCOUNTS: usize = 8;
    const APPENDS: usize = 100;

    let server = Server::shared();
    let url = server.create_database();
    let journal = journal(&url).await;
    let load = (0..ACCOUNTS).map(|id| {
        let journal = journal.clone();
        tokio::spawn(async move {
            let mut account = History::of(&id.to_string());
            for _ in 0..APPENDS {
                let append = account.next(1);
                // After a lost session the writer finds out what happened, and the append waits. On a busy machine that
                // may take so long that the writer refuses the append, which then certainly did not happen.
                while let Err(refused) = journal.append(append.clone()).await {
                    assert!(matches!(refused, AppendError::Unavailable(_)), "{refused}");
                    becomes(&journal, |health| *health == Health::Ready).await;
                }
            }
            account
        })
    });
    let load: Vec<_> = load.collect();
    let mut head = journal.head();
    let (mut terminated, mut next) = (0, 1);
    while next < (ACCOUNTS * APPENDS) as u64 {
        let reached = tokio::time::timeout(PATIENCE, head.wait_for(|head| head.0 >= next)).await;
        drop(reached.expect("there is progress in between").unwrap());
        terminated += query(server, &url, TERMINATE_WRITERS).await.lines().count();
        // In the middle of later appends, and never the same batch again and again, which would be refused.
        next = head.borrow().0 + 25;
    }
    assert!(terminated > 0);
    for task in load {
        let account = task.await.unwrap();
        let history = whole_history(&journal, &account.aggregate).await;
        assert_eq!(history.len(), APPENDS);
        assert_eq!(history.last().unwrap().event.chain, account.chain);
    }
    assert_eq!(whole_log(&journal).await.len(), ACCOUNTS * APPENDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_and_starts_again_has_everything() {
    let mut server = Server::start();
    let url = server.create_database();
    let journal = journal(&url).await;
    let mut account = History::of("a");
    for _ in 0..20 {
        journal.append(account.next(1)).await.unwrap();
    }
    server = tokio::task::spawn_blocking(move || {
        server.stop_immediate();
        server
    })
    .await
    .unwrap();
    // Its outcome cannot be known before the server is back, so there is no answer before.
    let in_doubt = submit(&journal, account.next(1)).await;
    becomes(&journal, |health| matches!(health, Health::Recovering(_))).await;
    journal.ping().await.unwrap_err();
    let server = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    })
    .await
    .unwrap();
    let answered = tokio::time::timeout(PATIENCE, in_doubt).await.unwrap().unwrap();
    match answered {
        Ok(committed) => assert_eq!(committed.first, Position(21)),
        // This answer is also right, if nothing was sent.
        Err(AppendError::Unavailable(_)) => {
            account = History::of("another");
            becomes(&journal, |health| *health == Health::Ready).await;
        }
        Err(error) => panic!("{error}"),
    }
    journal.append(account.next(1)).await.unwrap();
    assert_eq!(whole_log(&journal).await.len() as u64, journal.head().borrow().0);
    journal.close().await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_the_database_refuses_is_refused_whole() {
    let store = open(&Server::shared().create_database(), Access::Own).await.unwrap();
    let owner = store.acquire(None).await.unwrap();
    let mut account = History::of("a");
    let twice = Arc::new(account.clone().next(1));
    let placed = |first, append: &Arc<_>| Placed { first: Position(first), append: Arc::clone(append) };
    // The writer never commits this; the unique index checks it a second time.
    let refused = store.commit(owner.epoch, &[placed(1, &twice), placed(2, &twice)]).await;
    let Err(CommitError::Refused(reason)) = &refused else { panic!("{refused:?}") };
    assert!(reason.ends_with("(SQLSTATE 23505)"), "{reason}");
    assert_eq!(store.head().await, Ok(Position(0)));
    store.commit(owner.epoch, &[placed(1, &Arc::new(account.next(1)))]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_skipped() {
    let server = Server::shared();
    let url = server.create_database();
    let store = open(&url, Access::Own).await.unwrap();
    let snapshot = |version| Snapshot {
        aggregate: account("a"),
        version: Version(version),
        chain: Chain::ROOT,
        recorded_at: Timestamp::UNIX_EPOCH,
        snapshot_version: 1,
        body: vec![1, 2, 3],
        taken_at: Timestamp::UNIX_EPOCH,
    };
    store.save_snapshots(&[1, 2, 3].map(snapshot)).await.unwrap();
    query(server, &url, "UPDATE snapshots SET body = '\\x010204' WHERE version = 3").await;
    query(server, &url, "UPDATE snapshots SET chain = '\\x01' WHERE version = 2").await;
    assert_eq!(store.snapshot(&account("a"), AsOf::Now).await, Ok(Some(snapshot(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_number_is_damage() {
    let server = Server::shared();
    let url = server.create_database();
    journal(&url).await.append(History::of("a").keyed("k", false, 2)).await.unwrap();
    let store = open(&url, Access::Read).await.unwrap();
    query(server, &url, "UPDATE events SET version = -version").await;
    query(server, &url, "UPDATE log_head SET epoch = -1, position = -1").await;
    let key = CommandKey::new("k").unwrap();
    let errors = [
        store.read_log(Position::ZERO, PageLimit::ALL).await.unwrap_err(),
        store.versions(&[account("a")]).await.unwrap_err(),
        store.find_command(&account("a"), &key).await.unwrap_err(),
        store.head().await.unwrap_err(),
        store.epoch().await.unwrap_err(),
    ];
    assert!(errors.iter().all(|error| matches!(error, StoreError::Damaged(_))), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_head_row_delays_a_takeover_no_longer_than_configured() {
    let server = Server::shared();
    let url = server.create_database();
    let mut config = config();
    config.journal.postgres.lock_timeout = std::time::Duration::from_millis(100);
    let opened = Postgres::open(&postgres_url(&url), &config.journal, retention(), Access::Own).await;
    let store = opened.unwrap();
    let owner = store.acquire(None).await.unwrap();
    // A paused owner in the middle of an append.
    let holder = open(&url, Access::Own).await.unwrap();
    drop(holder);
    let hold = "BEGIN; UPDATE log_head SET position = position; SELECT pg_sleep(30)";
    let holding = tokio::task::spawn_blocking({
        let url = url.clone();
        move || std::panic::catch_unwind(|| server.query(&url, hold)).is_err()
    });
    let is_held = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    while query(server, &url, is_held).await != "1" {}

    let refused = store.acquire(None).await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(reason)) if reason.contains("55P03")), "{refused:?}");
    let batch = [Placed { first: Position(1), append: Arc::new(History::of("a").next(1)) }];
    let refused = store.commit(owner.epoch, &batch).await;
    assert!(matches!(&refused, Err(CommitError::Refused(reason)) if reason.contains("55P03")), "{refused:?}");

    let release = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'";
    query(server, &url, release).await;
    assert!(holding.await.unwrap());
    store.acquire(Some(owner.epoch)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn durability_does_not_depend_on_the_servers_defaults() {
    let server = Server::shared();
    let url = server.create_database();
    let database = url.rsplit('/').next().unwrap();
    server.query(&url, &format!("ALTER DATABASE {database} SET synchronous_commit = off"));
    server.query(&url, &format!("ALTER DATABASE {database} SET default_transaction_isolation = serializable"));
    let journal = journal(&url).await;
    server.query(
        &url,
        "CREATE TABLE settings (name text, value text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO settings SELECT name, current_setting(name) FROM unnest(ARRAY['synchronous_commit',
                'transaction_isolation', 'lock_timeout', 'statement_timeout', 'application_name']) AS name;
            RETURN NULL; END $$;
        CREATE TRIGGER note AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION note()",
    );
    journal.append(History::of("a").next(1)).await.unwrap();
    let settings = server.query(&url, "SELECT string_agg(value, ', ' ORDER BY name) FROM settings");
    assert_eq!(settings, "dormouse writer, 2s, 5s, on, read committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_migrated_once() {
    let url = postgres_url(&Server::shared().create_database());
    let config = config().journal.postgres;
    let migrate = || Postgres::migrate(&url, &config);
    // Also by two nodes that start together.
    let (one, other) = tokio::join!(migrate(), migrate());
    let mut migrated = [one.unwrap(), other.unwrap()];
    migrated.sort_by_key(|migrated| migrated.from);
    assert_eq!(migrated, [Migrated { from: 0, to: 1 }, Migrated { from: 1, to: 1 }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_or_foreign_or_empty_database_is_refused() {
    let server = Server::shared();
    let newer = server.create_database();
    open(&newer, Access::Own).await.unwrap();
    server.query(&newer, "INSERT INTO dormouse_schema (version) VALUES (99)");
    for access in [Access::Own, Access::Read] {
        let refused = open(&newer, access).await.unwrap_err();
        assert!(matches!(refused, OpenError::Newer { found: 99, known: 1, .. }), "{refused}");
    }

    let foreign = server.create_database();
    server.query(&foreign, "CREATE TABLE events (id int)");
    for access in [Access::Own, Access::Read] {
        let refused = open(&foreign, access).await.unwrap_err();
        assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    }
    assert_eq!(server.query(&foreign, "SELECT count(*) FROM events"), "0");

    let empty = server.create_database();
    let refused = open(&empty, Access::Read).await.unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    assert_eq!(server.query(&empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_reads_beside_the_owner() {
    let url = Server::shared().create_database();
    let owner = journal(&url).await;
    owner.append(History::of("a").next(3)).await.unwrap();
    let reader = open(&url, Access::Read).await.unwrap();
    assert_eq!(reader.read_log(Position(1), PageLimit::events(10)).await.unwrap().len(), 2);
    assert_eq!(reader.head().await, Ok(Position(3)));
    owner.append(History::of("b").next(1)).await.unwrap();
    assert_eq!(reader.head().await, Ok(Position(4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn journals_in_schemas_of_one_database_are_separate() {
    let server = Server::shared();
    let url = server.create_database();
    let missing = open(&format!("{url}?options=-c%20search_path%3Dnobody"), Access::Own).await;
    assert!(matches!(missing, Err(OpenError::Unreachable { .. })), "{missing:?}");
    journal(&url).await.append(History::of("a").next(2)).await.unwrap();
    server.query(&url, "CREATE SCHEMA tenant");
    // Its search path includes the tables of the other journal, after its own.
    let tenant = journal(&format!("{url}?options=-c%20search_path%3Dtenant,public")).await;
    assert_eq!(whole_log(&tenant).await, []);
    tenant.append(History::of("a").next(1)).await.unwrap();
    assert_eq!(
        server.query(&url, "SELECT count(*) FROM public.events UNION ALL SELECT count(*) FROM tenant.events"),
        "2\n1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_is_named_without_its_password() {
    let refused = open("postgres://me:hunter2@127.0.0.1:1/nowhere", Access::Own).await.unwrap_err();
    let OpenError::Unreachable { place, reason } = &refused else { panic!("{refused}") };
    assert_eq!(place, "postgres://me:***@127.0.0.1:1/nowhere");
    assert!(!reason.contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_stay_within_their_limit() {
    let url = postgres_url(&Server::shared().create_database());
    let mut config = config();
    // Each of the many readers waits this long for its turn.
    config.journal.postgres.connect_timeout = PATIENCE;
    let store = Postgres::open(&url, &config.journal, retention(), Access::Own).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    assert_eq!(store.connections().max, 6);
    let journal = start(Arc::clone(&store)).await;
    journal.append(History::of("a").keyed("k", false, 1)).await.unwrap();
    let readers: Vec<_> = (0..100)
        .map(|_| {
            let journal = journal.clone();
            tokio::spawn(async move { whole_log(&journal).await.len() })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), 1);
        let connections = store.connections();
        assert!((2..=6).contains(&connections.active), "{connections:?}");
    }
}

//! What only PostgreSQL has: schemas, and connections that may be lost.

use std::sync::Arc;
use std::time::Duration;

use dormouse_config::PostgresUrl;
use dormouse_harness::Postgres as Server;
use dormouse_kernel::Epoch;
use dormouse_messaging::QueueStore;
use dormouse_messaging::store::{Changes, JobState, Postgres};
use sqlx::{Connection, PgConnection};

use crate::support::{Place, id, job, limits, mailer, postgres_url, put};

fn database() -> PostgresUrl {
    postgres_url(&Server::shared().create_database())
}

async fn open(url: &PostgresUrl, schema: &str) -> Result<Postgres, dormouse_messaging::store::Error> {
    Postgres::open(url, schema, 4, &limits()).await
}

#[tokio::test]
async fn a_schema_of_another_program_is_refused_and_left_as_it_is() {
    let url = database();
    let sql = "CREATE SCHEMA theirs; CREATE TABLE theirs.job (id integer); INSERT INTO theirs.job VALUES (7)";
    Server::shared().query(url.expose(), sql);
    let refused = open(&url, "theirs").await.unwrap_err().to_string();
    assert!(refused.contains("the schema theirs belongs to another program"), "{refused}");
    assert_eq!(Server::shared().query(url.expose(), "SELECT * FROM theirs.job"), "7");
    open(&url, "ours").await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let url = database();
    open(&url, Postgres::SCHEMA).await.unwrap().close().await;
    let newer = "INSERT INTO dormouse_queue.dormouse_queue_schema (version) VALUES (99)";
    Server::shared().query(url.expose(), newer);
    let refused = open(&url, Postgres::SCHEMA).await.unwrap_err().to_string();
    assert!(refused.contains("the schema dormouse_queue has version 99"), "{refused}");
}

#[tokio::test]
async fn a_name_that_is_no_schema_is_refused() {
    for name in ["", "pg_queue", "Queue", "a-b", "a\"b", &"a".repeat(64)] {
        let refused = open(&database(), name).await.unwrap_err().to_string();
        assert!(refused.contains("is not allowed as a schema"), "{refused}");
    }
}

#[tokio::test]
async fn queues_in_two_schemas_are_independent() {
    let url = database();
    let (one, other) = (open(&url, "one").await.unwrap(), open(&url, "other").await.unwrap());
    one.acquire(Epoch(5)).await.unwrap();
    other.acquire(Epoch(1)).await.unwrap();
    one.commit(&mailer(), &put([job(1, "a", JobState::Dead)])).await.unwrap();
    other.commit(&mailer(), &Changes::default()).await.unwrap();
    assert_eq!(other.job(&mailer(), id(1)).await.unwrap(), None);
}

#[tokio::test]
async fn queues_outlast_their_connections() {
    let place = Place::postgres();
    let store = place.owned().await;
    let Place::Postgres(url) = &place else { unreachable!("it was made so") };
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for position in 1..=3 {
        store.commit(&mailer(), &put([job(position, "a", JobState::Dead)])).await.unwrap();
        assert!(store.job(&mailer(), id(position)).await.unwrap().is_some());
        Server::shared().query(url.expose(), cut);
    }
    assert_eq!(store.job_counts().await.unwrap()[&mailer()].dead, 3);
}

#[tokio::test]
async fn a_commit_whose_caller_is_gone_does_not_happen_after_later_ones() {
    let url = database();
    let mut limits = limits();
    // The lock is held as long as the test wants.
    (limits.lock_timeout, limits.statement_timeout) = (Duration::from_secs(60), Duration::from_secs(60));
    let store = Arc::new(Postgres::open(&url, Postgres::SCHEMA, 4, &limits).await.unwrap());
    store.acquire(Epoch(1)).await.unwrap();
    store.commit(&mailer(), &Changes::default()).await.unwrap();
    let mut lock = PgConnection::connect(url.expose()).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT FROM dormouse_queue.owner FOR UPDATE").execute(&mut lock).await.unwrap();

    // The statement waits for the lock on the server, and its caller does not wait for it.
    let left = Arc::clone(&store);
    let left = tokio::spawn(async move { left.commit(&mailer(), &put([job(1, "a", JobState::Dead)])).await });
    become_waiting(&url, "1").await;
    left.abort();
    assert!(left.await.is_err());

    let remove = Changes { remove: vec![id(1)], ..Changes::default() };
    let name = mailer();
    let (removed, ()) = tokio::join!(store.commit(&name, &remove), async {
        become_waiting(&url, "2").await;
        lock.close().await.unwrap();
    });
    removed.unwrap();
    become_waiting(&url, "0").await;
    assert_eq!(store.job(&mailer(), id(1)).await.unwrap(), None);
}

/// Waits until this many sessions of the database wait for a lock.
async fn become_waiting(url: &PostgresUrl, sessions: &str) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let reached = async {
        while Server::shared().query(url.expose(), waiting) != sessions {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(30), reached).await;
    reached.unwrap_or_else(|_| panic!("never: {sessions} sessions wait for a lock"));
}

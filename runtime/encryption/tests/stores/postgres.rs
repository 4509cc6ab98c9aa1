//! What only PostgreSQL has: schemas, and connections that may be lost.

use dormouse_encryption::store::Postgres;
use dormouse_harness::Postgres as Server;

use crate::support::{Place, at, hash, limits, live, wrapped};

#[tokio::test]
async fn a_schema_of_another_program_is_refused_and_left_as_it_is() {
    let place = Place::postgres();
    let sql = "CREATE SCHEMA theirs; CREATE TABLE theirs.data_key (id integer); INSERT INTO theirs.data_key VALUES (7)";
    Server::shared().query(place.url().expose(), sql);
    let refused = Postgres::open(place.url(), "theirs", 1, &limits()).await.unwrap_err().to_string();
    assert!(refused.contains("the schema theirs belongs to another program"), "{refused}");
    assert_eq!(Server::shared().query(place.url().expose(), "SELECT * FROM theirs.data_key"), "7");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let place = Place::postgres();
    place.store().await.close().await;
    place.harm("INSERT INTO dormouse_keys_schema (version) VALUES (99)").await;
    let refused = Postgres::open(place.url(), Postgres::SCHEMA, 1, &limits()).await.unwrap_err().to_string();
    assert!(refused.contains("the schema dormouse_keys has version 99"), "{refused}");
}

#[tokio::test]
async fn keys_outlast_their_connections() {
    let place = Place::postgres();
    let store = place.store().await;
    let cut = || {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        Server::shared().query(place.url().expose(), cut);
    };
    for number in 1..=3 {
        store.create(&live(number, number)).await.unwrap();
        cut();
        assert!(store.find(hash(number)).await.unwrap().is_some());
        cut();
        let new = wrapped("kek-2", number);
        assert!(store.rewrap(live(number, number).id, &wrapped("kek-1", number), &new).await.unwrap());
        cut();
        assert_eq!(store.destroy(hash(number), at(1)).await.unwrap().len(), 1);
        cut();
    }
    assert_eq!(store.counts().await.unwrap().destroyed, 3);
}

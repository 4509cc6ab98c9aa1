//! Opening a schema: a new one, one of another program, and a broken one.

use std::sync::Arc;

use dormouse_harness::Postgres as Server;
use dormouse_kernel::Position;
use dormouse_projections::ViewStore;
use dormouse_projections::store::{Advance, Builds, CommitError, Error, Offset, Postgres};

use super::{open, query, try_open};
use crate::support::{begun, first, key, limits, offset, postgres_url, row, served, step, view};

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_open_a_new_schema_at_once_both_succeed() {
    let url = Server::shared().create_database();
    let (one, other) = tokio::join!(try_open(&url), try_open(&url));
    let build = begun(&one.unwrap(), &first()).await;
    assert_eq!(served(&other.unwrap(), &first()).await, (build, Offset::START));
}

#[tokio::test(flavor = "multi_thread")]
async fn views_in_different_schemas_are_separate() {
    let url = Server::shared().create_database();
    let in_schema = async |schema: &str| -> Result<Arc<dyn ViewStore>, Error> {
        let opened = Postgres::open(&postgres_url(&url), &[], schema, 4, &limits()).await;
        opened.map(|store| Arc::new(store) as _)
    };
    let (one, other) = (in_schema("one").await.unwrap(), in_schema("other").await.unwrap());
    begun(&one, &first()).await;
    assert_eq!(other.prepare(&first()).await.unwrap(), Builds::default());
    for name in ["", "1a", "A", "a;b", "a b", "pg_views", "\"", &"a".repeat(64)] {
        let refused = in_schema(name).await.unwrap_err();
        assert!(refused.to_string().contains("is not allowed as a schema"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_schema_is_refused_with_a_reason() {
    let server = Server::shared();
    let newer = server.create_database();
    let build = begun(&open(&newer).await, &first()).await;
    query(&newer, "INSERT INTO dormouse_views_schema (version) VALUES (99)");
    let refused = try_open(&newer).await.unwrap_err();
    assert!(refused.to_string().contains("has version 99, this binary knows it up to 3"), "{refused}");
    assert_eq!(query(&newer, "SELECT build FROM builds"), build.0.to_string());

    let foreign = server.create_database();
    server.query(&foreign, "CREATE SCHEMA dormouse_views; CREATE TABLE dormouse_views.builds (house text)");
    let refused = try_open(&foreign).await.unwrap_err();
    assert!(refused.to_string().contains("belongs to another program"), "{refused}");
    assert_eq!(query(&foreign, "SELECT count(*) FROM builds"), "0");

    let theirs = server.create_database();
    server.query(&theirs, "CREATE ROLE guest LOGIN");
    let refused = try_open(&theirs.replace("postgres@", "guest@")).await.unwrap_err();
    assert!(refused.to_string().contains("create it with this user as its owner"), "{refused}");
    server.query(&theirs, "CREATE SCHEMA dormouse_views AUTHORIZATION guest");
    begun(&open(&theirs.replace("postgres@", "guest@")).await, &first()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_is_named_without_its_password() {
    let refused = try_open("postgres://me:hunter2@127.0.0.1:1/nowhere").await.unwrap_err().to_string();
    assert!(refused.contains("postgres://me:***@127.0.0.1:1/nowhere") && !refused.contains("hunter2"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prepare_creates_broken_storage_anew() {
    for harm in [
        "DROP TABLE view_first_1 CASCADE",
        "DROP VIEW view_first",
        "ALTER TABLE view_first_1 DROP COLUMN document CASCADE",
        "UPDATE builds SET chain = '\\x00'",
        "DROP TABLE builds",
        "DROP TABLE parked",
        "DROP SCHEMA dormouse_views CASCADE",
    ] {
        let (url, view, other) = (Server::shared().create_database(), first(), view::<2, 1, 0>());
        let store = open(&url).await;
        let build = begun(&store, &view).await;
        begun(&store, &other).await;
        store.commit(&view, build, Advance { rows: vec![row("a", "1", 1)], ..step(0, 1) }).await.unwrap();
        query(&url, harm);

        // A reader or a worker reports the damage; only a wrong chain is found by `prepare` alone.
        let read = store.get(&view, &key("a")).await;
        if !harm.contains("chain") {
            let advance = Advance { released: vec![Position(9)], ..step(1, 2) };
            let moved = store.commit(&view, build, advance).await;
            let is_told =
                matches!(read, Err(Error::Damaged(_))) || matches!(moved, Err(CommitError::Failed(Error::Damaged(_))));
            assert!(is_told, "{harm}: {read:?}, {moved:?}");
        }
        let found = store.prepare(&view).await.unwrap();
        assert_eq!(found, Builds::default(), "{harm}");
        let anew = begun(&store, &view).await;
        store.commit(&view, anew, Advance { rows: vec![row("a", "2", 1)], ..step(0, 1) }).await.unwrap();
        assert_eq!(store.get(&view, &key("a")).await.unwrap().document.unwrap().0.as_ref(), "2");
        assert_eq!(served(&store, &view).await, (anew, offset(1)));
    }
}

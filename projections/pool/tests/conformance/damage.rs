//! A negative number in a database is damage: a store reports it and never takes it for zero.

use std::path::Path;
use std::sync::Arc;

use dormouse_harness::Postgres as Server;
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Position, Version};
use dormouse_projections::store::{Advance, BuildNumber, Builds, CommitError, Error, Parked, Sqlite};
use dormouse_projections::{Query, ViewStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::support::{Place, begun, first, key, row, step};

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_number_in_sqlite_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Sqlite::open(directory.path(), 2).await.unwrap());
    let file = |path: &Path| SqliteConnectOptions::new().filename(path.join("views.db"));
    assert_negative_numbers_are_damage(store, async |sql: String| {
        let mut connection = file(directory.path()).connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_number_in_postgres_is_damage() {
    let place = Place::postgres();
    let Place::Postgres(url) = &place else { unreachable!("it was made so") };
    let url = url.expose().to_owned();
    assert_negative_numbers_are_damage(place.store().await, async |sql: String| {
        Server::shared().query(&url, &format!("SET search_path = dormouse_views; {sql}"));
    })
    .await;
}

async fn assert_negative_numbers_are_damage(store: Arc<dyn ViewStore>, harm: impl AsyncFn(String)) {
    let view = first();

    // The position of the build. Every read and every commit of the view reads it.
    let build = filled(&store).await;
    harm("UPDATE builds SET position = -1".to_owned()).await;
    assert_names("builds.position", store.get(&view, &key("a")).await);
    assert_names("builds.position", store.list(&view, &Query::all(1)).await);
    let Err(CommitError::Failed(refused)) = store.commit(&view, build, step(1, 2)).await else {
        panic!("a commit from another position succeeds or is said to have moved")
    };
    assert_names("builds.position", Err::<(), _>(refused));
    assert_eq!(store.prepare(&view).await.unwrap(), Builds::default(), "damage is removed");

    // The position of a document.
    let build = filled(&store).await;
    harm(format!("UPDATE view_first_{} SET position = -1", build.0)).await;
    assert_names("position", store.get(&view, &key("a")).await);
    assert_names("position", store.list(&view, &Query::all(1)).await);
    assert_eq!(store.prepare(&view).await.unwrap(), Builds::default(), "damage is removed");

    // A parked event.
    for column in ["version", "attempts"] {
        let build = filled(&store).await;
        harm(format!("UPDATE parked SET {column} = -1")).await;
        assert_names(&format!("parked.{column}"), store.parked(build, None, Position(0), 10).await);
        assert_eq!(store.prepare(&view).await.unwrap(), Builds::default(), "damage is removed");
    }

    // What only `prepare` reads: it reports the damage, or removes it at once.
    for column in ["begun_after", "version"] {
        filled(&store).await;
        harm(format!("UPDATE builds SET {column} = -1")).await;
        match store.prepare(&view).await {
            Ok(found) => assert_eq!(found, Builds::default()),
            reported => assert_names(&format!("builds.{column}"), reported),
        }
        assert_eq!(store.prepare(&view).await.unwrap(), Builds::default(), "damage is removed");
    }
}

/// A served build with a document and a parked event.
async fn filled(store: &Arc<dyn ViewStore>) -> BuildNumber {
    let view = first();
    let build = begun(store, &view).await;
    let aggregate = AggregateRef::new(AggregateType::new("account").unwrap(), AggregateId::new("a").unwrap());
    let (version, position, reason) = (Version(1), Position(1), Some("a test wants it".to_owned()));
    let parked = vec![Parked { aggregate, version, position, reason, attempts: 1 }];
    store.commit(&view, build, Advance { rows: vec![row("a", "1", 1)], parked, ..step(0, 1) }).await.unwrap();
    build
}

fn assert_names<T: std::fmt::Debug>(column: &str, read: Result<T, Error>) {
    let expected = Error::Damaged(format!("the column {column} contains -1"));
    assert_eq!(read.unwrap_err(), expected);
}

//! What only a file can be asked: its indexes, and what becomes of it when it is damaged.

use std::path::Path;
use std::sync::Arc;

use dormouse_kernel::Position;
use dormouse_projections::ViewStore;
use dormouse_projections::store::{Advance, Builds, CommitError, Error, Sqlite};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use crate::support::{begun, first, key, offset, row, served, step, view};

async fn connect(directory: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(directory.join("views.db")).connect().await.unwrap()
}

async fn open(directory: &Path) -> Arc<dyn ViewStore> {
    Arc::new(Sqlite::open(directory, 2).await.unwrap())
}

async fn indexes(directory: &Path) -> Vec<String> {
    let mut connection = connect(directory).await;
    let names = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE tbl_name = 'view_first_1' AND type = 'index' AND sql IS NOT NULL ORDER BY 1",
    );
    names.fetch_all(&mut connection).await.unwrap()
}

async fn plan(connection: &mut SqliteConnection, select: String) -> Vec<String> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {select}"));
    let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(connection).await.unwrap();
    steps.into_iter().map(|(_, _, _, step)| step).collect()
}

#[tokio::test]
async fn every_declared_field_has_an_index_and_no_other_does() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    begun(&store, &first()).await;
    assert_eq!(indexes(directory.path()).await, ["view_first_1__customer_age", "view_first_1__status"]);
    store.prepare(&view::<1, 1, 2>()).await.unwrap();
    assert_eq!(indexes(directory.path()).await, ["view_first_1__customer_age", "view_first_1__paid"]);
    store.prepare(&view::<1, 1, 0>()).await.unwrap();
    assert_eq!(indexes(directory.path()).await, [""; 0]);
}

#[tokio::test]
async fn an_operator_finds_documents_by_a_declared_field_through_its_index() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let build = begun(&store, &first()).await;
    let rows = vec![
        row("a", r#"{"status":"open"}"#, 1),
        row("b", r#"{"status":"closed"}"#, 1),
        row("c", r#"{"status":"open","customer":{"age":7}}"#, 1),
    ];
    store.commit(&first(), build, Advance { rows, ..step(0, 1) }).await.unwrap();
    let mut connection = connect(directory.path()).await;
    for (condition, expected, index) in [
        ("status = 'open'", &["a", "c"][..], "view_first_1__status"),
        ("\"customer.age\" BETWEEN 1 AND 9", &["c"], "view_first_1__customer_age"),
    ] {
        let select = format!("SELECT key FROM view_first WHERE {condition} ORDER BY key");
        let found: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(select.clone())).fetch_all(&mut connection).await.unwrap();
        assert_eq!(found, expected);
        let plan = plan(&mut connection, select).await;
        assert!(plan[0].contains(&format!("INDEX {index}")), "{plan:?}");
    }
    // The columns change with the fields.
    store.prepare(&view::<1, 1, 2>()).await.unwrap();
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info('view_first')")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(columns, ["key", "document", "position", "customer.age", "paid"]);
}

#[tokio::test]
async fn a_file_that_is_none_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("views.db"), "this is not a database, and it is long enough".repeat(100))
        .unwrap();
    let store = open(directory.path()).await;
    assert_eq!(store.prepare(&first()).await.unwrap(), Builds::default());
}

#[tokio::test]
async fn a_file_that_is_damaged_while_it_is_used_is_made_anew_when_a_view_is_prepared() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let build = begun(&store, &first()).await;
    store.commit(&first(), build, Advance { rows: vec![row("a", "1", 1)], ..step(0, 1) }).await.unwrap();
    let mut connection = connect(directory.path()).await;
    sqlx::raw_sql("DROP TABLE view_first_1").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let error = store.get(&first(), &key("a")).await.unwrap_err();
    assert!(matches!(error, Error::Damaged(_)), "{error}");
    assert_eq!(store.prepare(&first()).await.unwrap(), Builds::default());
    // Whoever had it in hand finds that it has moved.
    let refused = store.commit(&first(), build, step(1, 2)).await.unwrap_err();
    assert_eq!(refused, CommitError::Moved { expected: Position(1), found: None });
    let build = begun(&store, &first()).await;
    store.commit(&first(), build, Advance { rows: vec![row("a", "1", 1)], ..step(0, 1) }).await.unwrap();
    assert_eq!(served(&store, &first()).await, (build, offset(1)));
}

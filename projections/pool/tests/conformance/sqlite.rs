//! What only SQLite has: indexes that operators use, a file that may be damaged, and tables of earlier code.

use std::path::Path;
use std::sync::Arc;

use dormouse_kernel::Position;
use dormouse_projections::store::{Advance, Builds, CommitError, Error, Sqlite};
use dormouse_projections::{Definition, Query, ViewStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use crate::filled_view::names;
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
async fn a_file_of_another_program_or_version_is_refused_and_left_as_it_is() {
    for is_newer in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("views.db");
        if is_newer {
            let store = open(directory.path()).await;
            begun(&store, &first()).await;
            store.close().await;
            let mut connection = connect(directory.path()).await;
            sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        } else {
            std::fs::write(&file, "this is not a database, and it is long enough".repeat(100)).unwrap();
        }
        let before = std::fs::read(&file).unwrap();
        let refused = Sqlite::open(directory.path(), 2).await.unwrap_err().to_string();
        assert!(refused.contains("views.db") && refused.contains("left as it is"), "{refused}");
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
}

#[tokio::test]
async fn a_damaged_file_is_kept_under_another_name_and_created_anew() {
    use std::os::unix::fs::FileExt;

    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    begun(&store, &first()).await;
    store.close().await;
    let file = std::fs::File::options().write(true).open(directory.path().join("views.db")).unwrap();
    file.write_all_at(&[0xaa; 4096], 100).unwrap();
    let store = open(directory.path()).await;
    assert_eq!(store.prepare(&first()).await.unwrap(), Builds::default());
    assert!(directory.path().join("views.db.damaged").exists());
}

#[tokio::test]
async fn a_file_that_is_damaged_in_use_is_created_anew_by_prepare() {
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
    // A worker of the old build finds that the build no longer exists.
    let refused = store.commit(&first(), build, step(1, 2)).await.unwrap_err();
    assert_eq!(refused, CommitError::Moved { expected: Position(1), found: None });
    let build = begun(&store, &first()).await;
    store.commit(&first(), build, Advance { rows: vec![row("a", "1", 1)], ..step(0, 1) }).await.unwrap();
    assert_eq!(served(&store, &first()).await, (build, offset(1)));
}

#[tokio::test]
async fn a_document_that_is_not_valid_text_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let build = begun(&store, &first()).await;
    store.commit(&first(), build, Advance { rows: vec![row("a", "1", 1)], ..step(0, 1) }).await.unwrap();
    let garble = sqlx::query("UPDATE view_first_1 SET document = CAST(x'ff' AS TEXT)");
    garble.execute(&mut connect(directory.path()).await).await.unwrap();
    let error = store.load(&first(), build, &[key("a")], usize::MAX).await.unwrap_err();
    assert!(matches!(error, Error::Damaged(_)), "{error}");
}

/// Turns the table of a build into one of earlier code: no columns, and indexes on expressions.
async fn as_earlier_code_made_it(directory: &Path) -> SqliteConnection {
    let mut connection = connect(directory).await;
    let earlier = "
        DROP VIEW view_first;
        DROP TABLE view_first_1;
        CREATE TABLE view_first_1 (key TEXT NOT NULL PRIMARY KEY, document TEXT NOT NULL, position INTEGER NOT NULL) STRICT;
        CREATE INDEX view_first_1__status ON view_first_1 (document ->> '$.status', key);
        CREATE INDEX of_an_operator ON view_first_1 (position);
        CREATE VIEW view_first AS SELECT key, document, position, document ->> '$.status' AS \"status\" FROM view_first_1;
        CREATE VIEW open AS SELECT key FROM view_first WHERE status = 'open';
        INSERT INTO view_first_1 VALUES
            ('a', '{\"status\":\"open\",\"customer\":{\"age\":18446744073709551615}}', 1),
            ('b', '{\"status\":\"closed\",\"customer\":{\"age\":9223372036854775808}}', 1),
            ('c', '{\"status\":7,\"customer\":{\"age\":-1}}', 1), ('d', '{\"customer\":{\"age\":1.5}}', 1);";
    sqlx::raw_sql(earlier).execute(&mut connection).await.unwrap();
    connection
}

/// The keys by age: ages of another kind come first, numbers beyond `i64` last.
async fn by_age(store: &Arc<dyn ViewStore>, view: &Definition) -> Vec<String> {
    names(&store.list(view, &Query::all(10).sort(view, "customer.age", false).unwrap()).await.unwrap())
}

#[tokio::test]
async fn a_table_of_earlier_code_stays_and_gets_columns() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let build = begun(&store, &first()).await;
    store.commit(&first(), build, step(0, 1)).await.unwrap();
    store.set_paused(&first(), true).await.unwrap();
    let mut connection = as_earlier_code_made_it(directory.path()).await;

    // A build of another version is served unchanged.
    let newer = view::<1, 2, 2>();
    let found = store.prepare(&newer).await.unwrap();
    assert_eq!((found.is_paused, found.serving.map(|build| build.offset)), (true, Some(offset(1))));
    assert_eq!(by_age(&store, &newer).await, ["d", "c", "b", "a"]);
    assert_eq!(indexes(directory.path()).await, ["of_an_operator", "view_first_1__status"]);

    store.prepare(&first()).await.unwrap();
    let all = ["of_an_operator", "view_first_1__customer_age", "view_first_1__status"];
    assert_eq!(indexes(directory.path()).await, all);
    assert_eq!(by_age(&store, &first()).await, ["d", "c", "b", "a"]);
    let open: Vec<String> = sqlx::query_scalar("SELECT key FROM open").fetch_all(&mut connection).await.unwrap();
    assert_eq!(open, ["a"]);
    let ages: Vec<Option<String>> =
        sqlx::query_scalar("SELECT CAST(\"customer.age\" AS TEXT) FROM view_first ORDER BY key")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let age = |age: &str| Some(age.to_owned());
    assert_eq!(ages, [age("18446744073709551615"), age("09223372036854775808"), age("-1"), None]);
}

#[tokio::test]
async fn prepare_fills_the_columns_of_rows_that_earlier_code_wrote_after_a_roll_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let build = begun(&store, &first()).await;
    let rows = vec![row("a", r#"{"customer":{"age":5}}"#, 1), row("b", r#"{"customer":{"age":3}}"#, 1)];
    store.commit(&first(), build, Advance { rows, ..step(0, 1) }).await.unwrap();
    // Earlier code does not know the columns, and replaces our indexes by its own.
    let mut connection = connect(directory.path()).await;
    let earlier = "
        DROP INDEX view_first_1__status;
        DROP INDEX view_first_1__customer_age;
        CREATE INDEX view_first_1__customer_age ON view_first_1 (document ->> '$.customer.age', key);
        INSERT INTO view_first_1 (key, document, position) VALUES ('b', '{\"customer\":{\"age\":9}}', 2)
        ON CONFLICT (key) DO UPDATE SET document = excluded.document, position = excluded.position;";
    sqlx::raw_sql(earlier).execute(&mut connection).await.unwrap();
    assert_eq!(by_age(&store, &first()).await, ["b", "a"], "the columns have the values from before");
    store.prepare(&first()).await.unwrap();
    assert_eq!(by_age(&store, &first()).await, ["a", "b"]);
}

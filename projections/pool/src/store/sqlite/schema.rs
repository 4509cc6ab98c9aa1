//! The tables: our own, and one for each view.

use dormouse_journal::store::derived_file::Schema;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::definition::{Definition, folded};

/// The views. "DORV" in ASCII.
pub(super) static VIEWS: Schema = Schema::new(0x444f_5256, &[VIEWS_1]);

/// The chain is that of the event at the position: it shows that a view belongs to the journal.
const VIEWS_1: &str = "
CREATE TABLE views (
    view TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    chain BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE parked (
    view TEXT NOT NULL,
    position INTEGER NOT NULL,
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    reason TEXT,
    PRIMARY KEY (view, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX parked_by_aggregate ON parked (view, aggregate_type, aggregate_id, position);
";

/// See [`ViewStore::prepare`](crate::ViewStore::prepare): the position and the chain.
pub(super) async fn prepare(
    connection: &mut SqliteConnection,
    view: &Definition,
) -> Result<(i64, Vec<u8>), sqlx::Error> {
    let standing: Option<(i64, i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, position, chain FROM views WHERE view = ?")
            .bind(view.name())
            .fetch_optional(&mut *connection)
            .await?;
    match standing {
        Some((version, position, chain)) if version == i64::from(view.version()) => {
            index(connection, view).await?;
            Ok((position, chain))
        }
        other => {
            if let Some((version, ..)) = other {
                tracing::warn!(view = view.name(), version, wanted = view.version(), "another version is built anew");
            }
            make_anew(connection, view).await?;
            Ok((0, vec![0; 16]))
        }
    }
}

/// Makes a view that is empty, whatever was there.
pub(super) async fn make_anew(connection: &mut SqliteConnection, view: &Definition) -> Result<(), sqlx::Error> {
    let table = view.table();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // With a rowid: documents may be large, and rows larger than a fraction of a page slow a tree without one.
    let tables = format!(
        "DROP TABLE IF EXISTS {table};
         CREATE TABLE {table} (
            key TEXT NOT NULL PRIMARY KEY,
            document TEXT NOT NULL,
            position INTEGER NOT NULL
         ) STRICT;"
    );
    sqlx::raw_sql(AssertSqlSafe(tables)).execute(&mut *transaction).await?;
    for (_, sql) in indexes(view) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    }
    sqlx::query("DELETE FROM parked WHERE view = ?").bind(view.name()).execute(&mut *transaction).await?;
    sqlx::query("INSERT OR REPLACE INTO views (view, version, position, chain) VALUES (?, ?, 0, zeroblob(16))")
        .bind(view.name())
        .bind(i64::from(view.version()))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// Makes the indexes that are missing, and drops those that are no longer declared.
async fn index(connection: &mut SqliteConnection, view: &Definition) -> Result<(), sqlx::Error> {
    let there: Vec<(String, String)> =
        sqlx::query_as("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL")
            .bind(view.table())
            .fetch_all(&mut *connection)
            .await?;
    let wanted = indexes(view);
    if there.len() == wanted.len() && there.iter().all(|index| wanted.contains(index)) {
        return Ok(());
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for (name, _) in there.iter().filter(|index| !wanted.contains(index)) {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP INDEX \"{name}\""))).execute(&mut *transaction).await?;
    }
    for (_, sql) in wanted.into_iter().filter(|index| !there.contains(index)) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// Name and statement of each index. The key makes the order of equal values certain.
fn indexes(view: &Definition) -> Vec<(String, String)> {
    let table = view.table();
    let index = |path: &str| {
        let name = format!("{table}__{}", folded(path));
        let sql = format!("CREATE INDEX {name} ON {table} (document ->> '$.{path}', key)");
        (name, sql)
    };
    view.fields().iter().map(|field| index(field.path)).collect()
}

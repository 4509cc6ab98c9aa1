//! The tables: those of the store, and one for each build of a view.

use dormouse_kernel::Mark;
use dormouse_storage::sqlite::Schema;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::{decode, layout};
use crate::definition::{Definition, relation};
use crate::store::{Begin, BuildNumber, Builds, Error, Offset};
use dormouse_storage::to_sql;

/// The views. "DORV" in ASCII.
pub(super) static VIEWS: Schema = Schema::new(0x444f_5256, &[VIEWS_1, VIEWS_2, VIEWS_3]);

/// The chain of a build is that of the event at its position, which shows that the view belongs to the journal. At most
/// one build of a view is served, and at most one is not.
const VIEWS_1: &str = "
CREATE TABLE builds (
    build INTEGER PRIMARY KEY AUTOINCREMENT,
    view TEXT NOT NULL,
    is_serving INTEGER NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    chain BLOB NOT NULL,
    UNIQUE (view, is_serving)
) STRICT;
CREATE TABLE paused (
    view TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE parked (
    build INTEGER NOT NULL,
    position INTEGER NOT NULL,
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (build, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX parked_by_aggregate ON parked (build, aggregate_type, aggregate_id, position);
";

/// The position after which a build begins.
const VIEWS_2: &str = "ALTER TABLE builds ADD COLUMN begun_after INTEGER NOT NULL DEFAULT 0";

/// The journal that the views belong to: one row, once the journal has an event.
const VIEWS_3: &str = "CREATE TABLE of_journal (first_event TEXT NOT NULL) STRICT";

/// A row of `builds`: build, whether it is served, version, position, chain, the position after which it begins.
pub(super) type BuildRow = (i64, bool, i64, i64, Vec<u8>, i64);

/// See [`ViewStore::prepare`](crate::ViewStore::prepare). The inner error: a row does not hold what was written.
pub(super) async fn prepare(
    connection: &mut SqliteConnection,
    view: &Definition,
) -> Result<Result<Builds, Error>, sqlx::Error> {
    let rows: Vec<BuildRow> =
        sqlx::query_as("SELECT build, is_serving, version, position, chain, begun_after FROM builds WHERE view = ?")
            .bind(view.name())
            .fetch_all(&mut *connection)
            .await?;
    let mut found = Builds::default();
    for row in rows {
        let (build, is_serving) = match decode::build(row) {
            Ok(decoded) => decoded,
            Err(damaged) => return Ok(Err(damaged)),
        };
        let is_current = build.version == view.version();
        layout::fit(connection, view, &view.table(build.number), is_current, is_serving).await?;
        *(if is_serving { &mut found.serving } else { &mut found.next }) = Some(build);
    }
    let paused: Option<i64> = sqlx::query_scalar("SELECT 1 FROM paused WHERE view = ?")
        .bind(view.name())
        .fetch_optional(&mut *connection)
        .await?;
    found.is_paused = paused.is_some();
    Ok(Ok(found))
}

/// See [`ViewStore::begin`](crate::ViewStore::begin): the number of the build.
pub(super) async fn begin(
    connection: &mut SqliteConnection,
    view: &Definition,
    after: Offset,
    how: Begin,
) -> Result<i64, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let served = build_of(&mut transaction, view.name(), true).await?;
    let is_served = how == Begin::Instead || served.is_none();
    for is_serving in [true, false] {
        if is_served || !is_serving {
            drop_build(&mut transaction, view.name(), is_serving).await?;
        }
    }
    let build: i64 = sqlx::query_scalar(
        "INSERT INTO builds (view, is_serving, version, position, chain, begun_after)
         VALUES (?1, ?2, ?3, ?4, ?5, ?4) RETURNING build",
    )
    .bind(view.name())
    .bind(is_served)
    .bind(i64::from(view.version()))
    .bind(to_sql(after.position.0))
    .bind(after.chain.0.as_slice())
    .fetch_one(&mut *transaction)
    .await?;
    let table = format!("{}_{build}", view.relation());
    layout::create(&mut transaction, view, &table).await?;
    if is_served {
        layout::show(&mut transaction, view, &table).await?;
    }
    transaction.commit().await?;
    Ok(build)
}

/// See [`ViewStore::serve`](crate::ViewStore::serve).
pub(super) async fn serve(
    connection: &mut SqliteConnection,
    view: &Definition,
    build: BuildNumber,
) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let is_far_enough: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM builds AS next WHERE build = ?1 AND view = ?2 AND NOT is_serving AND position >= coalesce(
            (SELECT position FROM builds WHERE view = ?2 AND is_serving), 0)",
    )
    .bind(to_sql(build.0))
    .bind(view.name())
    .fetch_optional(&mut *transaction)
    .await?;
    if is_far_enough.is_none() {
        transaction.rollback().await?;
        return Ok(false);
    }
    drop_build(&mut transaction, view.name(), true).await?;
    sqlx::query("UPDATE builds SET is_serving = 1 WHERE build = ?")
        .bind(to_sql(build.0))
        .execute(&mut *transaction)
        .await?;
    layout::show(&mut transaction, view, &view.table(build)).await?;
    transaction.commit().await?;
    Ok(true)
}

/// See [`ViewStore::abandon`](crate::ViewStore::abandon).
pub(super) async fn abandon(connection: &mut SqliteConnection, view: &Definition) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    drop_build(&mut transaction, view.name(), false).await?;
    transaction.commit().await
}

/// See [`ViewStore::drop_view`](crate::ViewStore::drop_view).
pub(super) async fn drop_view(connection: &mut SqliteConnection, name: &str) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for is_serving in [true, false] {
        drop_build(&mut transaction, name, is_serving).await?;
    }
    sqlx::query("DELETE FROM paused WHERE view = ?").bind(name).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// See [`ViewStore::of_journal`](crate::ViewStore::of_journal).
pub(super) async fn of_journal(
    connection: &mut SqliteConnection,
    first: Option<Mark>,
) -> Result<Option<String>, sqlx::Error> {
    if let Some(first) = first {
        sqlx::query("INSERT INTO of_journal SELECT ? WHERE NOT EXISTS (SELECT 1 FROM of_journal)")
            .bind(first.to_string())
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query_scalar("SELECT first_event FROM of_journal").fetch_optional(connection).await
}

/// Drops the served build of a view, or the other one, if it exists.
async fn drop_build(connection: &mut SqliteConnection, name: &str, is_serving: bool) -> Result<(), sqlx::Error> {
    let Some(build) = build_of(connection, name, is_serving).await? else { return Ok(()) };
    // The name is from a checked definition, or was found in the store, where it came from one.
    let relation = relation(name);
    if is_serving {
        let hide = format!("DROP VIEW IF EXISTS {relation}");
        sqlx::raw_sql(AssertSqlSafe(hide)).execute(&mut *connection).await?;
    }
    let drop = format!("DROP TABLE IF EXISTS {relation}_{build}");
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *connection).await?;
    for forget in ["DELETE FROM parked WHERE build = ?", "DELETE FROM builds WHERE build = ?"] {
        sqlx::query(forget).bind(build).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn build_of(connection: &mut SqliteConnection, name: &str, is_serving: bool) -> Result<Option<i64>, sqlx::Error> {
    let build = sqlx::query_scalar("SELECT build FROM builds WHERE view = ? AND is_serving = ?");
    build.bind(name).bind(is_serving).fetch_optional(connection).await
}

//! SQL that changes the builds of a view: the rows of `builds`, their tables, and the SQL view that shows the served
//! build.
//!
//! No reader of a view may wait for long, or fail, because of a change. A reader locks the SQL view, and then the table
//! behind it. So no transaction changes both: a table that is no longer served is dropped in a transaction of its own,
//! when no reader can find it any more. A change stops waiting for the lock on the SQL view if it does not get it soon,
//! because readers queue behind a transaction that waits for it.

use std::time::Duration;

use dormouse_kernel::Chain;
use dormouse_storage::postgres::Failure;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query, query_as, query_scalar, raw_sql};

use super::indexes;
use super::known::BuildMark;
use crate::definition::{Definition, relation};
use crate::store::numbers::{build_number, position};
use crate::store::{Begin, Build, BuildNumber, Error, Offset};
use dormouse_storage::{from_sql, to_sql};

/// The builds of a view. Each row also says whether the table exists (and the SQL view, if the build is served), and
/// which transaction wrote the row.
const BUILDS: &str = "
    SELECT build, is_serving, version, position, chain, to_regclass($2 || '_' || build) IS NOT NULL
        AND (NOT is_serving OR to_regclass($2) IS NOT NULL), xmin::text::bigint, begun_after
    FROM builds WHERE view = $1";

/// The comment on the tables that this store has created. Operators may have tables with such names.
const MARK: &str = "A build of a view of Dormouse";

/// Tables of builds that earlier versions of Dormouse created, without a mark.
const UNMARKED: &str = "
    SELECT to_regclass($2 || '_' || build)::text FROM builds
    WHERE view = $1 AND to_regclass($2 || '_' || build) IS NOT NULL
        AND obj_description(to_regclass($2 || '_' || build), 'pg_class') IS NULL";

/// Tables of this store that have a view's name and belong to no build.
const SUPERFLUOUS: &str = "
    SELECT relname::text FROM pg_class
    WHERE obj_description(oid, 'pg_class') = $2 AND relnamespace = current_schema()::regnamespace AND relkind = 'r'
        AND left(relname, length($1) + 1) = $1 || '_' AND substr(relname, length($1) + 2) ~ '^[0-9]+$'
        AND NOT EXISTS (SELECT FROM builds WHERE relname = $1 || '_' || build)";

/// A row of `builds`: build, whether it is served, version, position, chain, whether its table (and its SQL view, if it
/// is served) exists, the transaction that wrote the row, and the position after which the build begins.
pub(super) type BuildRow = (i64, bool, i64, i64, Vec<u8>, bool, i64, i64);

/// A build of a view, as `builds` describes it.
#[derive(Debug)]
pub(super) struct FoundBuild {
    pub(super) build: Build,
    pub(super) is_serving: bool,
    pub(super) mark: BuildMark,
}

/// A change of the builds of a view.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'a> {
    Begin(&'a Definition, Offset, Begin),
    /// Serves the build and removes the one that was served.
    Serve(&'a Definition, BuildNumber),
    /// Removes the build that is made beside the served one.
    Abandon,
    /// Removes all builds. The pause stays.
    Forget,
    /// Removes all builds and the pause.
    Drop,
}

/// All builds of a view, whether it is paused, and whether it has tables that belong to no build.
pub(super) async fn find(
    connection: &mut PgConnection,
    view: &Definition,
) -> Result<(Vec<BuildRow>, bool, bool), sqlx::Error> {
    let builds = query_as(BUILDS).bind(view.name()).bind(view.relation()).fetch_all(&mut *connection).await?;
    let paused = query_scalar("SELECT EXISTS (SELECT FROM paused WHERE view = $1)");
    let is_paused = paused.bind(view.name()).fetch_one(&mut *connection).await?;
    let unmarked = query_scalar(UNMARKED).bind(view.name()).bind(view.relation());
    for table in unmarked.fetch_all(&mut *connection).await? {
        mark(connection, table).await?;
    }
    let superfluous = superfluous(connection, view.relation()).await?;
    Ok((builds, is_paused, !superfluous.is_empty()))
}

/// Decodes a row. A build whose table is missing is damaged.
pub(super) fn decode(row: BuildRow) -> Result<FoundBuild, Error> {
    let (number, is_serving, version, at, chain, is_there, row, begun_after) = row;
    let mark = BuildMark::from_row((number, at, row))?;
    if !is_there {
        return Err(Error::Damaged(format!("the table of build {number} is missing")));
    }
    let chain = Chain::from_bytes(&chain).ok_or_else(|| Error::Damaged("a chain does not have 16 bytes".to_owned()))?;
    let build = Build {
        number: mark.build,
        version: from_sql(version, "builds.version")?,
        begun_after: position("builds.begun_after", begun_after)?,
        offset: Offset { position: mark.position, chain },
    };
    Ok(FoundBuild { build, is_serving, mark })
}

async fn mark(connection: &mut PgConnection, table: String) -> Result<(), sqlx::Error> {
    raw_sql(AssertSqlSafe(format!("COMMENT ON TABLE {table} IS '{MARK}'"))).execute(connection).await?;
    Ok(())
}

async fn superfluous(connection: &mut PgConnection, relation: &str) -> Result<Vec<String>, sqlx::Error> {
    query_scalar(SUPERFLUOUS).bind(relation).bind(MARK).fetch_all(connection).await
}

/// Whether a build may take the place of the one that is served.
pub(super) async fn is_far_enough(
    connection: &mut PgConnection,
    view: &Definition,
    build: BuildNumber,
) -> Result<bool, sqlx::Error> {
    // FOR UPDATE: the positions stay as they are until the transaction ends.
    let builds: Vec<(i64, bool, i64)> =
        query_as("SELECT build, is_serving, position FROM builds WHERE view = $1 ORDER BY build FOR UPDATE")
            .bind(view.name())
            .fetch_all(connection)
            .await?;
    let served = builds.iter().find(|(_, is_serving, _)| *is_serving).map_or(0, |(.., position)| *position);
    let next = builds.iter().find(|(number, is_serving, _)| *number == to_sql(build.0) && !is_serving);
    Ok(next.is_some_and(|(.., position)| *position >= served))
}

/// Carries out a change in one transaction. `patience` limits the wait for each lock. Returns the build that was begun
/// or served.
pub(super) async fn change(
    connection: &mut PgConnection,
    name: &str,
    change: Change<'_>,
    patience: Duration,
) -> Result<Option<BuildNumber>, Failure> {
    let mut transaction = connection.begin().await?;
    query("SELECT set_config('lock_timeout', $1, true)")
        .bind(patience.as_millis().max(1).to_string())
        .execute(&mut *transaction)
        .await?;
    // One change of a view at a time.
    query("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.' || $1, 0))")
        .bind(name)
        .execute(&mut *transaction)
        .await?;
    let build = match change {
        Change::Begin(view, after, how) => Some(begin(&mut transaction, view, after, how).await?),
        Change::Serve(view, build) => {
            if !is_far_enough(&mut transaction, view, build).await? {
                transaction.rollback().await?;
                return Ok(None);
            }
            serve(&mut transaction, view, build).await?;
            Some(build)
        }
        Change::Abandon => {
            forget(&mut transaction, name, false).await?;
            None
        }
        Change::Forget | Change::Drop => {
            hide(&mut transaction, name).await?;
            if matches!(change, Change::Drop) {
                query("DELETE FROM paused WHERE view = $1").bind(name).execute(&mut *transaction).await?;
            }
            None
        }
    };
    transaction.commit().await?;
    Ok(build)
}

async fn begin(
    connection: &mut PgConnection,
    view: &Definition,
    after: Offset,
    how: Begin,
) -> Result<BuildNumber, Failure> {
    let served = query_scalar("SELECT EXISTS (SELECT FROM builds WHERE view = $1 AND is_serving)");
    let is_one_served: bool = served.bind(view.name()).fetch_one(&mut *connection).await?;
    let is_served = how == Begin::Instead || !is_one_served;
    forget(connection, view.name(), false).await?;
    if is_served {
        forget(connection, view.name(), true).await?;
    }
    let build: i64 = query_scalar(
        "INSERT INTO builds (view, is_serving, version, position, chain, begun_after)
         VALUES ($1, $2, $3, $4, $5, $4) RETURNING build",
    )
    .bind(view.name())
    .bind(is_served)
    .bind(i64::from(view.version()))
    .bind(to_sql(after.position.0))
    .bind(after.chain.0.as_slice())
    .fetch_one(&mut *connection)
    .await?;
    let build = build_number("builds.build", build)?;
    let table = view.table(build);
    // JSON, not JSONB: a document is returned as it was written.
    let create = format!(
        "CREATE TABLE {table} (key text COLLATE \"C\" PRIMARY KEY, document json NOT NULL, position bigint NOT NULL)"
    );
    raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await?;
    mark(connection, table.clone()).await?;
    for index in indexes::declared(view, &table) {
        indexes::create(connection, &index).await?;
    }
    if is_served {
        show(connection, view, build).await?;
    }
    Ok(build)
}

async fn serve(connection: &mut PgConnection, view: &Definition, build: BuildNumber) -> Result<(), sqlx::Error> {
    forget(connection, view.name(), true).await?;
    query("UPDATE builds SET is_serving = true WHERE build = $1")
        .bind(to_sql(build.0))
        .execute(&mut *connection)
        .await?;
    show(connection, view, build).await
}

/// Shows a build in SQL under the name of its view. The SQL view is replaced, not dropped, so that grants on it and
/// views of operators that use it stay.
async fn show(connection: &mut PgConnection, view: &Definition, build: BuildNumber) -> Result<(), sqlx::Error> {
    let (relation, table) = (view.relation(), view.table(build));
    let create = format!("CREATE OR REPLACE VIEW {relation} AS SELECT key, document, position FROM {table}");
    raw_sql(AssertSqlSafe(create)).execute(connection).await?;
    Ok(())
}

/// Removes all builds of a view, and its SQL view.
async fn hide(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    forget(connection, name, true).await?;
    forget(connection, name, false).await?;
    // The name is from a checked definition. If it is no name of a view, it does no harm in quotes.
    let drop = format!("DROP VIEW IF EXISTS \"{}\"", relation(name).replace('"', ""));
    raw_sql(AssertSqlSafe(drop)).execute(connection).await?;
    Ok(())
}

/// Removes the served build of a view, or the other one, if it exists. After that its table belongs to no build.
async fn forget(connection: &mut PgConnection, name: &str, is_serving: bool) -> Result<(), sqlx::Error> {
    let forgotten: Option<i64> = query_scalar("DELETE FROM builds WHERE view = $1 AND is_serving = $2 RETURNING build")
        .bind(name)
        .bind(is_serving)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(build) = forgotten {
        query("DELETE FROM parked WHERE build = $1").bind(build).execute(connection).await?;
    }
    Ok(())
}

/// Drops the tables that belong to no build, each in a transaction of its own. What cannot be dropped now is found the
/// next time.
pub(super) async fn tidy(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    for table in superfluous(connection, &relation(name)).await? {
        raw_sql(AssertSqlSafe(format!("DROP TABLE IF EXISTS {table}"))).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Collects statistics about a build, with which the server chooses well among the indexes.
pub(super) async fn analyze(
    connection: &mut PgConnection,
    view: &Definition,
    build: BuildNumber,
) -> Result<(), sqlx::Error> {
    raw_sql(AssertSqlSafe(format!("ANALYZE {}", view.table(build)))).execute(connection).await?;
    Ok(())
}

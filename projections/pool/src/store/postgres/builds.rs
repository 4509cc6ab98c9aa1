//! Builds come to be and go: what is done to `builds`, to their tables, and to the SQL view that shows what is served.
//!
//! Nobody who reads a view may wait for long, or fail, because of that. A reader holds a lock on the SQL view, and after
//! it one on the table behind. So what replaces the one never touches the other: a table that is no longer served is
//! dropped in a transaction of its own, when nobody can come to it any more. And the lock on the SQL view is given up
//! again if it cannot be had soon, since readers queue behind who waits for it.

use std::time::Duration;

use dormouse_storage::postgres::Failure;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query, query_as, query_scalar, raw_sql};

use super::fields::Expressions;
use super::signed;
use crate::definition::{Definition, folded, relation};
use crate::fields::Field;
use crate::store::listing::Dialect;
use crate::store::{Begin, BuildNumber, Offset};

/// A view's builds, each with whether its table is there, and, if it is served, what shows it; and who wrote the row.
const BUILDS: &str = "
    SELECT build, is_serving, version, position, chain, to_regclass($2 || '_' || build) IS NOT NULL
        AND (NOT is_serving OR to_regclass($2) IS NOT NULL), xmin::text::bigint, begun_after
    FROM builds WHERE view = $1";

/// The comment on the tables that we have made: others may have some of such a name.
const MARK: &str = "A build of a view of Dormouse";

/// Tables of builds that earlier versions made, without a mark.
const UNMARKED: &str = "
    SELECT to_regclass($2 || '_' || build)::text FROM builds
    WHERE view = $1 AND to_regclass($2 || '_' || build) IS NOT NULL
        AND obj_description(to_regclass($2 || '_' || build), 'pg_class') IS NULL";

/// Tables of ours under a view's name that are no build's.
const SUPERFLUOUS: &str = "
    SELECT relname::text FROM pg_class
    WHERE obj_description(oid, 'pg_class') = $2 AND relnamespace = current_schema()::regnamespace AND relkind = 'r'
        AND left(relname, length($1) + 1) = $1 || '_' AND substr(relname, length($1) + 2) ~ '^[0-9]+$'
        AND NOT EXISTS (SELECT FROM builds WHERE relname = $1 || '_' || build)";

/// A row of `builds`: build, whether it is served, version, position, chain, whether its table is there, the transaction that
/// wrote the row, and where it was begun.
pub(super) type BuildRow = (i64, bool, i64, i64, Vec<u8>, bool, i64, i64);

/// What becomes of the builds of a view.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'a> {
    Begin(&'a Definition, Offset, Begin),
    /// The build takes the place of the one that is served.
    Serve(&'a Definition, BuildNumber),
    /// The one that is made beside what is served goes.
    Abandon,
    /// All builds go; the pause stays.
    Forget,
    /// Everything goes.
    Drop,
}

/// All builds of a view, whether it is paused, and whether there are tables that are no build's.
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
    // Locked, so that they stay where they are until the transaction ends.
    let builds: Vec<(i64, bool, i64)> =
        query_as("SELECT build, is_serving, position FROM builds WHERE view = $1 ORDER BY build FOR UPDATE")
            .bind(view.name())
            .fetch_all(connection)
            .await?;
    let served = builds.iter().find(|(_, is_serving, _)| *is_serving).map_or(0, |(.., position)| *position);
    let next = builds.iter().find(|(number, is_serving, _)| *number == signed(build.0) && !is_serving);
    Ok(next.is_some_and(|(.., position)| *position >= served))
}

/// Carries out a change in one transaction, which waits so long for each lock: the number of the build that is begun or
/// served, if one is.
pub(super) async fn change(
    connection: &mut PgConnection,
    name: &str,
    change: Change<'_>,
    patience: Duration,
) -> Result<Option<i64>, Failure> {
    let mut transaction = connection.begin().await?;
    // One at a time changes what there is of a view.
    query("SELECT set_config('lock_timeout', $1, true)")
        .bind(patience.as_millis().max(1).to_string())
        .execute(&mut *transaction)
        .await?;
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
            forget(&mut transaction, name, true).await?;
            query("UPDATE builds SET is_serving = true WHERE build = $1")
                .bind(signed(build.0))
                .execute(&mut *transaction)
                .await?;
            show(&mut transaction, view, signed(build.0)).await?;
            Some(signed(build.0))
        }
        Change::Abandon => {
            forget(&mut transaction, name, false).await?;
            None
        }
        Change::Forget | Change::Drop => {
            forget(&mut transaction, name, true).await?;
            forget(&mut transaction, name, false).await?;
            if matches!(change, Change::Drop) {
                query("DELETE FROM paused WHERE view = $1").bind(name).execute(&mut *transaction).await?;
            }
            // The name came with a checked definition, or is none of a view, and then does no harm in quotes.
            let hide = format!("DROP VIEW IF EXISTS \"{}\"", relation(name).replace('"', ""));
            raw_sql(AssertSqlSafe(hide)).execute(&mut *transaction).await?;
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
) -> Result<i64, sqlx::Error> {
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
    .bind(signed(after.position.0))
    .bind(after.chain.0.as_slice())
    .fetch_one(&mut *connection)
    .await?;
    let table = table(view, build);
    // JSON, not JSONB: a document comes back as it was written.
    let create = format!(
        "CREATE TABLE {table} (key text COLLATE \"C\" PRIMARY KEY, document json NOT NULL, position bigint NOT NULL)"
    );
    raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await?;
    mark(connection, table.clone()).await?;
    for index in indexes(view, &table) {
        create_index(connection, &index).await?;
    }
    if is_served {
        show(connection, view, build).await?;
    }
    Ok(build)
}

/// Lets SQL see a build under the name of its view. Replaced, not made anew: what operators have granted on it, or built
/// on it, stays.
async fn show(connection: &mut PgConnection, view: &Definition, build: i64) -> Result<(), sqlx::Error> {
    let (relation, table) = (view.relation(), table(view, build));
    let create = format!("CREATE OR REPLACE VIEW {relation} AS SELECT key, document, position FROM {table}");
    raw_sql(AssertSqlSafe(create)).execute(connection).await?;
    Ok(())
}

/// Forgets the build of a view that is served, or the other one, if there is one. Its table is superfluous then.
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

/// Drops the tables that are no build's. Each stands for itself: what cannot be dropped now is found the next time.
pub(super) async fn tidy(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    for table in superfluous(connection, &relation(name)).await? {
        raw_sql(AssertSqlSafe(format!("DROP TABLE IF EXISTS {table}"))).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Lets the server know what is in a build, so that it chooses well among the indexes.
pub(super) async fn analyze(
    connection: &mut PgConnection,
    view: &Definition,
    build: BuildNumber,
) -> Result<(), sqlx::Error> {
    raw_sql(AssertSqlSafe(format!("ANALYZE {}", view.table(build)))).execute(connection).await?;
    Ok(())
}

/// What is to be done so that exactly the declared fields have indexes: names to drop, indexes to make.
#[derive(Debug)]
pub(super) struct Reindexing {
    table: String,
    dropped: Vec<String>,
    made: Vec<Index>,
}

const CREATE_INDEX: &str = "CREATE INDEX";

/// An index; its comment is the statement that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Index {
    name: String,
    sql: String,
}

/// `None`, if all is as it should be.
pub(super) async fn reindexing(
    connection: &mut PgConnection,
    view: &Definition,
    build: i64,
) -> Result<Option<Reindexing>, sqlx::Error> {
    let table = table(view, build);
    let there: Vec<(String, Option<String>)> = query_as(
        "SELECT indexrelid::regclass::text, obj_description(indexrelid) FROM pg_index
         WHERE indrelid = to_regclass($1) AND NOT indisprimary",
    )
    .bind(&table)
    .fetch_all(connection)
    .await?;
    let there: Vec<Index> = there.into_iter().map(|(name, sql)| Index { name, sql: sql.unwrap_or_default() }).collect();
    let wanted = indexes(view, &table);
    // Those of operators have no such comment.
    let is_superfluous = |index: &&Index| !wanted.contains(index) && index.sql.starts_with(CREATE_INDEX);
    let dropped: Vec<String> = there.iter().filter(is_superfluous).map(|index| index.name.clone()).collect();
    let made: Vec<Index> = wanted.into_iter().filter(|index| !there.contains(index)).collect();
    Ok((!dropped.is_empty() || !made.is_empty()).then_some(Reindexing { table, dropped, made }))
}

impl Reindexing {
    /// In one transaction.
    pub(super) async fn carry_out(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut transaction = connection.begin().await?;
        for name in &self.dropped {
            raw_sql(AssertSqlSafe(format!("DROP INDEX IF EXISTS {name}"))).execute(&mut *transaction).await?;
        }
        for index in &self.made {
            create_index(&mut transaction, index).await?;
        }
        // An index on an expression says nothing about it before.
        raw_sql(AssertSqlSafe(format!("ANALYZE {}", self.table))).execute(&mut *transaction).await?;
        transaction.commit().await
    }
}

async fn create_index(connection: &mut PgConnection, Index { name, sql }: &Index) -> Result<(), sqlx::Error> {
    let quoted = sql.replace('\'', "''");
    let both = format!("{sql}; COMMENT ON INDEX {name} IS '{quoted}'");
    raw_sql(AssertSqlSafe(both)).execute(connection).await?;
    Ok(())
}

/// The key makes the order of equal values certain.
fn indexes(view: &Definition, table: &str) -> Vec<Index> {
    let index = |field: &Field| {
        let name = format!("{table}__{}", folded(field.path));
        let sql = format!("{CREATE_INDEX} {name} ON {table} ({} ASC NULLS FIRST, key)", Expressions::field(*field));
        Index { name, sql }
    };
    view.fields().iter().map(index).collect()
}

fn table(view: &Definition, build: i64) -> String {
    view.table(BuildNumber(super::unsigned(build)))
}

//! The indexes of a build: one for each declared field. Operators may have others on the same table.

use sqlx::{AssertSqlSafe, Connection, PgConnection, query_as, raw_sql};

use super::fields::Expressions;
use crate::definition::{Definition, folded};
use crate::fields::Field;
use crate::store::BuildNumber;
use crate::store::listing::Dialect;

/// The changes after which exactly the declared fields have indexes: names to drop, indexes to create.
#[derive(Debug)]
pub(super) struct Changes {
    table: String,
    dropped: Vec<String>,
    created: Vec<Index>,
}

const CREATE_INDEX: &str = "CREATE INDEX";

/// An index. Its comment in the database is the statement that created it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    name: String,
    sql: String,
}

/// The changes that the indexes of a build need. `None`: no changes are needed.
pub(super) async fn changes(
    connection: &mut PgConnection,
    view: &Definition,
    build: BuildNumber,
) -> Result<Option<Changes>, sqlx::Error> {
    let table = view.table(build);
    let there: Vec<(String, Option<String>)> = query_as(
        "SELECT indexrelid::regclass::text, obj_description(indexrelid) FROM pg_index
         WHERE indrelid = to_regclass($1) AND NOT indisprimary",
    )
    .bind(&table)
    .fetch_all(connection)
    .await?;
    let there: Vec<Index> = there.into_iter().map(|(name, sql)| Index { name, sql: sql.unwrap_or_default() }).collect();
    let wanted = declared(view, &table);
    // The indexes of operators have no such comment.
    let is_superfluous = |index: &&Index| !wanted.contains(index) && index.sql.starts_with(CREATE_INDEX);
    let dropped: Vec<String> = there.iter().filter(is_superfluous).map(|index| index.name.clone()).collect();
    let created: Vec<Index> = wanted.into_iter().filter(|index| !there.contains(index)).collect();
    Ok((!dropped.is_empty() || !created.is_empty()).then_some(Changes { table, dropped, created }))
}

impl Changes {
    /// Carries out all changes in one transaction.
    pub(super) async fn carry_out(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut transaction = connection.begin().await?;
        for name in &self.dropped {
            raw_sql(AssertSqlSafe(format!("DROP INDEX IF EXISTS {name}"))).execute(&mut *transaction).await?;
        }
        for index in &self.created {
            create(&mut transaction, index).await?;
        }
        // Only ANALYZE collects statistics about the expression of a new index.
        raw_sql(AssertSqlSafe(format!("ANALYZE {}", self.table))).execute(&mut *transaction).await?;
        transaction.commit().await
    }
}

pub(super) async fn create(connection: &mut PgConnection, Index { name, sql }: &Index) -> Result<(), sqlx::Error> {
    let quoted = sql.replace('\'', "''");
    let both = format!("{sql}; COMMENT ON INDEX {name} IS '{quoted}'");
    raw_sql(AssertSqlSafe(both)).execute(connection).await?;
    Ok(())
}

/// The indexes of a table. Each contains the key, which orders equal values.
pub(super) fn declared(view: &Definition, table: &str) -> Vec<Index> {
    let index = |field: &Field| {
        let name = format!("{table}__{}", folded(field.path));
        let sql = format!("{CREATE_INDEX} {name} ON {table} ({} ASC NULLS FIRST, key)", Expressions::field(*field));
        Index { name, sql }
    };
    view.stored_fields().iter().map(index).collect()
}

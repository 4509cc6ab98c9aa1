//! The table of a build, with a column and an index for each declared field, and the SQL view that shows the served
//! build.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::definition::{Definition, folded};
use crate::fields::{Field, HASHES, Kind};
use crate::limits::TEXT_CHARS;
use crate::store::columns::column;

/// Creates the table of a build.
pub(super) async fn create(
    connection: &mut SqliteConnection,
    view: &Definition,
    table: &str,
) -> Result<(), sqlx::Error> {
    run(connection, table_sql(view, table)).await?;
    for (_, sql) in indexes(view, table) {
        run(connection, sql).await?;
    }
    Ok(())
}

/// Shows a build in SQL under the name of its view.
pub(super) async fn show(connection: &mut SqliteConnection, view: &Definition, table: &str) -> Result<(), sqlx::Error> {
    run(connection, view_sql(view, table, |_| true)).await
}

/// Changes the table of a build to the declared fields, if the build is of the view's version (`is_current`). Shows the
/// build in SQL, if it is served.
pub(super) async fn fit(
    connection: &mut SqliteConnection,
    view: &Definition,
    table: &str,
    is_current: bool,
    is_serving: bool,
) -> Result<(), sqlx::Error> {
    let found = Layout::of(connection, view, table).await?;
    let is_to_change = is_current && !found.fits(view, table);
    let view_sql = view_sql(view, table, |field| is_current || found.has(table, field));
    if !is_to_change && (!is_serving || found.view.as_ref() == Some(&view_sql)) {
        return Ok(());
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    if is_serving {
        run(&mut transaction, format!("DROP VIEW IF EXISTS {}", view.relation())).await?;
    }
    if is_to_change {
        change(&mut transaction, view, table, &found).await?;
    }
    if is_serving {
        run(&mut transaction, view_sql).await?;
    }
    transaction.commit().await
}

/// The layout of a build: its table, indexes and SQL view.
struct Layout {
    table: String,
    /// The name and statement of each index.
    indexes: Vec<(String, String)>,
    /// The statement of the SQL view.
    view: Option<String>,
}

impl Layout {
    async fn of(connection: &mut SqliteConnection, view: &Definition, table: &str) -> Result<Self, sqlx::Error> {
        let made: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT type, name, sql FROM sqlite_master WHERE (tbl_name = ?1 OR name = ?2) AND sql IS NOT NULL",
        )
        .bind(table)
        .bind(view.relation())
        .fetch_all(connection)
        .await?;
        let mut found = Self { table: String::new(), indexes: Vec::new(), view: None };
        for (kind, name, sql) in made {
            match kind.as_str() {
                "table" => found.table = sql,
                "index" => found.indexes.push((name, sql)),
                "view" => found.view = Some(sql),
                _ => {}
            }
        }
        Ok(found)
    }

    fn fits(&self, view: &Definition, table: &str) -> bool {
        let ours = self.indexes.iter().filter(|(name, _)| is_ours(table, name)).count();
        self.table == table_sql(view, table)
            && ours == view.stored_fields().iter().count()
            && view.stored_fields().iter().all(|field| self.has(table, field))
    }

    /// Whether a field has its column and its index. Older code does not fill columns, but then it has also replaced
    /// our indexes by others.
    fn has(&self, table: &str, field: &Field) -> bool {
        self.table.contains(&definition(field)) && self.indexes.contains(&index(table, field))
    }
}

/// Copies a table into one with the declared columns, and creates the indexes anew. Indexes of operators stay.
async fn change(
    connection: &mut SqliteConnection,
    view: &Definition,
    table: &str,
    found: &Layout,
) -> Result<(), sqlx::Error> {
    let names: String = view.stored_fields().iter().map(|field| format!("{}, ", column(*field))).collect();
    let values: String = view.stored_fields().iter().map(|field| format!("{}, ", computed(field))).collect();
    // Otherwise SQLite refuses to rename the table while a view of an operator uses the SQL view that was just dropped.
    run(connection, "PRAGMA legacy_alter_table = ON".to_owned()).await?;
    run(connection, format!("ALTER TABLE {table} RENAME TO {table}_before")).await?;
    run(connection, "PRAGMA legacy_alter_table = OFF".to_owned()).await?;
    run(connection, table_sql(view, table)).await?;
    let copy = format!(
        "INSERT INTO {table} (key, {names}document, position)
         SELECT key, {values}document, position FROM {table}_before ORDER BY key"
    );
    run(connection, copy).await?;
    run(connection, format!("DROP TABLE {table}_before")).await?;
    let of_operators = found.indexes.iter().filter(|(name, _)| !is_ours(table, name)).cloned();
    for (_, sql) in indexes(view, table).into_iter().chain(of_operators) {
        run(connection, sql).await?;
    }
    Ok(())
}

/// The statement that creates a table. The table has a rowid, because large rows slow down a table without one, and
/// documents may be large. The fields come before the document, so that SQLite reads them without reading the document.
fn table_sql(view: &Definition, table: &str) -> String {
    let fields: String = view.stored_fields().iter().map(definition).collect();
    format!(
        "CREATE TABLE {table} (
            key TEXT NOT NULL PRIMARY KEY,{fields}
            document TEXT NOT NULL,
            position INTEGER NOT NULL
         ) STRICT"
    )
}

/// The column of a field. Whole numbers beyond `i64` are stored as text, which sorts after all integers.
fn definition(field: &Field) -> String {
    let kind = match field.kind {
        Kind::Text => "TEXT",
        Kind::Integer => "ANY",
        Kind::Real => "REAL",
        Kind::Boolean => "INTEGER",
    };
    format!("\n            {} {kind},", column(*field))
}

/// The statement that creates the SQL view. Declared fields are columns, so that conditions on them use the indexes.
/// Fields without a column are computed from the documents.
fn view_sql(view: &Definition, table: &str, has_column: impl Fn(&Field) -> bool) -> String {
    let shown = |field: &Field| match has_column(field) {
        true => format!(", {}", column(*field)),
        false => format!(", {} AS {}", computed(field), column(*field)),
    };
    let columns: String = view.stored_fields().iter().map(shown).collect();
    format!("CREATE VIEW {} AS SELECT key, document, position{columns} FROM {table}", view.relation())
}

/// The name and statement of each index.
fn indexes(view: &Definition, table: &str) -> Vec<(String, String)> {
    view.stored_fields().iter().map(|field| index(table, field)).collect()
}

/// The index contains the key, which orders equal values.
fn index(table: &str, field: &Field) -> (String, String) {
    let name = format!("{table}__{}", folded(field.path));
    let sql = format!("CREATE INDEX {name} ON {table} ({}, key)", column(*field));
    (name, sql)
}

fn is_ours(table: &str, index: &str) -> bool {
    index.strip_prefix(table).is_some_and(|rest| rest.starts_with("__"))
}

/// The value of a field that has no column, in a table that other code created. A value of another kind is NULL.
fn computed(field: &Field) -> String {
    let path = match field.is_hashed {
        false => format!("$.{}", field.path),
        true => format!("$.\"{HASHES}\".\"{}\"", field.path),
    };
    let found = format!("document ->> '{path}'");
    let (written, kind) = (format!("document -> '{path}'"), format!("json_type(document, '{path}')"));
    match field.kind {
        Kind::Text => format!("CASE {kind} WHEN 'text' THEN substr({found}, 1, {TEXT_CHARS}) END"),
        // SQLite extracts whole numbers beyond `i64` as numbers with a fraction.
        Kind::Integer => format!(
            "CASE WHEN {kind} <> 'integer' THEN NULL WHEN typeof({found}) = 'integer' THEN {found} \
             WHEN {written} NOT LIKE '-%' AND (length({written}) = 19 OR length({written}) = 20 AND {written} <= '{}') \
             THEN substr('0' || ({written}), -20) END",
            u64::MAX
        ),
        Kind::Real => format!("CASE WHEN {kind} IN ('real', 'integer') THEN CAST({found} AS REAL) END"),
        Kind::Boolean => format!("CASE {kind} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"),
    }
}

async fn run(connection: &mut SqliteConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

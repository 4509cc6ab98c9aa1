//! Committing a batch: one transaction. Each statement costs a round trip to another thread, a row does not. So
//! statements are sent together where possible, and each takes many rows.

use dormouse_kernel::Position;
use serde::Serialize;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::CHECKPOINT_PAGES;
use super::statements::{Statement, bind_keys, bind_value, places, prepared};
use super::written::{FieldSet, Planned, Prepared, Written};
use crate::definition::Definition;
use crate::key::Key;
use crate::store::columns::column;
use crate::store::values::Paths;
use crate::store::{Advance, BuildNumber, Offset, Parked, Row};
use dormouse_storage::to_sql;

/// A batch with at least this many rows belongs to a view that is being built or is far behind. It changes pages all
/// over the file, and most of them many times.
const LARGE_BATCH: usize = 2048;

/// Pages in the WAL before a checkpoint after a large batch. The checkpoint may take longer, because no reader needs
/// that view to be fresh.
const CHECKPOINT_PAGES_LARGE: u32 = 16_000;

/// A set that has every field, however many there are.
const EVERY_FIELD: FieldSet = FieldSet::MAX;

/// See [`ViewStore::commit`](crate::ViewStore::commit). The inner error is the actual position of the build; `None`:
/// the build does not exist.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    view: &Definition,
    build: BuildNumber,
    advance: Advance,
    written: &Written,
) -> Result<Result<(), Option<i64>>, sqlx::Error> {
    let Advance { from, to, rows, gone, parked, released } = advance;
    let is_large = rows.len() >= LARGE_BATCH;
    let writer = Writer::of(view, build);
    let mut known = written.take(build, from);
    let Planned { upserts, updates } = known.plan(rows, &writer.paths, writer.fields.len(), is_large);
    let (first, rest) = writer.chunk(upserts);
    // An error, or a caller that is cancelled, drops the connection. That rolls the transaction back.
    if let Err(elsewhere) = move_on(connection, &writer, build, (from, to), first).await? {
        return Ok(Err(elsewhere));
    }
    writer.upsert_all(connection, rest).await?;
    for (fields, rows) in updates {
        writer.update_all(connection, fields, rows).await?;
    }
    writer.delete_all(connection, &gone).await?;
    park(connection, build, &parked).await?;
    release(connection, build, &released).await?;
    if is_large {
        let commit = format!(
            "PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES_LARGE}; COMMIT; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}"
        );
        sqlx::raw_sql(AssertSqlSafe(commit)).execute(connection).await?;
    } else {
        sqlx::query("COMMIT").execute(connection).await?;
    }
    gone.iter().for_each(|key| known.remove(key));
    written.keep(build, known, to.position);
    Ok(Ok(()))
}

/// Begins the transaction, moves the build and writes the first rows: one round trip. The inner error, after a
/// rollback, is the actual position of the build; `None`: it does not exist.
async fn move_on(
    connection: &mut SqliteConnection,
    writer: &Writer,
    build: BuildNumber,
    (from, to): (Position, Offset),
    rows: Vec<Prepared>,
) -> Result<Result<(), Option<i64>>, sqlx::Error> {
    let moving =
        "BEGIN IMMEDIATE; UPDATE builds SET position = ?, chain = ? WHERE build = ? AND position = ? RETURNING 1";
    let moving = match &rows[..] {
        [] => moving.to_owned(),
        rows => format!("{moving}; {}", writer.upsert(rows.len())),
    };
    let moving = sqlx::query(AssertSqlSafe(moving))
        .bind(to_sql(to.position.0))
        .bind(to.chain.0.to_vec())
        .bind(to_sql(build.0))
        .bind(to_sql(from.0));
    let moved = writer.bind(moving, rows, EVERY_FIELD).fetch_all(&mut *connection).await;
    if matches!(&moved, Ok(moved) if moved.len() == 1) {
        return Ok(Ok(()));
    }
    sqlx::query("ROLLBACK").execute(&mut *connection).await?;
    let find = sqlx::query_scalar("SELECT position FROM builds WHERE build = ?");
    let found = find.bind(to_sql(build.0)).fetch_optional(&mut *connection).await?;
    match moved {
        // The build is at the right position, so something else is wrong.
        Err(error) if found == Some(to_sql(from.0)) => Err(error),
        _ => Ok(Err(found)),
    }
}

async fn park(connection: &mut SqliteConnection, build: BuildNumber, parked: &[Parked]) -> Result<(), sqlx::Error> {
    if parked.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT OR REPLACE INTO parked (build, position, aggregate_type, aggregate_id, version, reason, attempts)
         SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?2)",
    )
    .bind(to_sql(build.0))
    .bind(json(parked.iter().map(columns)))
    .execute(connection)
    .await?;
    Ok(())
}

async fn release(
    connection: &mut SqliteConnection,
    build: BuildNumber,
    released: &[Position],
) -> Result<(), sqlx::Error> {
    if released.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM parked WHERE build = ?1 AND position IN (SELECT value FROM json_each(?2))")
        .bind(to_sql(build.0))
        .bind(json(released.iter().map(|position| position.0)))
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes rows into the table of a build.
struct Writer {
    table: String,
    fields: Vec<String>,
    paths: Paths,
}

impl Writer {
    fn of(view: &Definition, build: BuildNumber) -> Self {
        let fields = view.stored_fields().iter().map(|field| column(*field)).collect();
        Self { table: view.table(build), fields, paths: Paths::of(view.stored_fields().iter()) }
    }

    /// Inserts rows, or updates all fields of rows that exist.
    async fn upsert_all(&self, connection: &mut SqliteConnection, mut rows: Vec<Prepared>) -> Result<(), sqlx::Error> {
        while !rows.is_empty() {
            let (next, others) = self.chunk(rows);
            let upsert = self.upsert(next.len());
            self.bind(sqlx::query(AssertSqlSafe(upsert)), next, EVERY_FIELD).execute(&mut *connection).await?;
            rows = others;
        }
        Ok(())
    }

    /// Updates these fields of rows that exist.
    async fn update_all(
        &self,
        connection: &mut SqliteConnection,
        fields: FieldSet,
        mut rows: Vec<Prepared>,
    ) -> Result<(), sqlx::Error> {
        while !rows.is_empty() {
            let (next, others) = self.chunk(rows);
            let (count, update) = (next.len() as u64, self.update(next.len(), fields));
            let updated = self.bind(sqlx::query(AssertSqlSafe(update)), next, fields);
            if updated.execute(&mut *connection).await?.rows_affected() != count {
                // Another program has deleted rows. What is known of the rows is wrong, and is dropped with this error.
                return Err(sqlx::Error::Protocol("a row that was written before is missing".to_owned()));
            }
            rows = others;
        }
        Ok(())
    }

    async fn delete_all(&self, connection: &mut SqliteConnection, keys: &[Key]) -> Result<(), sqlx::Error> {
        for keys in keys.chunks(prepared(keys.len(), 1)) {
            let delete = format!("DELETE FROM {} WHERE key IN ({})", self.table, places(keys.len()));
            bind_keys(sqlx::query(AssertSqlSafe(delete)), keys).execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// The rows for the next statement, and the remaining rows.
    fn chunk(&self, mut rows: Vec<Prepared>) -> (Vec<Prepared>, Vec<Prepared>) {
        let rest = rows.split_off(rows.len().min(prepared(rows.len(), self.columns())));
        (rows, rest)
    }

    fn columns(&self) -> usize {
        self.fields.len() + 3
    }

    /// The statement for this many rows.
    fn upsert(&self, rows: usize) -> String {
        let names: String = self.fields.iter().map(|name| format!(", {name}")).collect();
        let changes: String = self.fields.iter().map(|name| format!(", {name} = excluded.{name}")).collect();
        let row = format!("({})", vec!["?"; self.columns()].join(","));
        let values = vec![row; prepared(rows, self.columns())].join(",");
        format!(
            "INSERT INTO {} (key, document, position{names}) SELECT * FROM (VALUES {values}) WHERE column1 IS NOT NULL
             ON CONFLICT (key) DO UPDATE SET document = excluded.document, position = excluded.position{changes}",
            self.table
        )
    }

    /// The statement for this many rows that exist, of which only these fields change. The columns are numbered in the
    /// order in which they are [bound](Self::bind).
    fn update(&self, rows: usize, fields: FieldSet) -> String {
        let named: Vec<&String> = chosen(self.fields.iter(), fields).collect();
        let row = format!("({})", vec!["?"; named.len() + 3].join(","));
        let values = vec![row; prepared(rows, self.columns())].join(",");
        let numbered = named.iter().zip(4..);
        let changes: String = numbered.map(|(name, column)| format!(", {name} = new.column{column}")).collect();
        format!(
            "UPDATE {table} SET document = new.column2, position = new.column3{changes}
             FROM (VALUES {values}) AS new WHERE {table}.key = new.column1",
            table = self.table
        )
    }

    /// Binds key, document, position and the values of these fields, for each row.
    fn bind<'q>(&self, statement: Statement<'q>, rows: Vec<Prepared>, fields: FieldSet) -> Statement<'q> {
        rows.into_iter().fold(statement, |statement, Prepared { row, values }| {
            let Row { key, document, position } = row;
            let statement = statement.bind(key.shared()).bind(document).bind(to_sql(position.0));
            chosen(values.iter(), fields).fold(statement, |statement, value| match value {
                Some(value) => bind_value(statement, value.clone()),
                None => statement.bind(None::<i64>),
            })
        })
    }
}

/// The fields that are in a set. With more fields than bits, the only set is that of all fields.
fn chosen<T>(of_fields: impl Iterator<Item = T>, set: FieldSet) -> impl Iterator<Item = T> {
    of_fields.enumerate().filter(move |(number, _)| set == EVERY_FIELD || set >> number & 1 == 1).map(|(_, one)| one)
}

/// The columns of a parked event.
fn columns(event: &Parked) -> (u64, &str, &str, u64, Option<&str>, u32) {
    let Parked { aggregate, version, position, reason, attempts } = event;
    (position.0, aggregate.aggregate_type.as_str(), aggregate.id.as_str(), version.0, reason.as_deref(), *attempts)
}

fn json<T: Serialize>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<T> = items.collect();
    let Ok(text) = serde_json::to_string(&items) else { unreachable!("texts and numbers are JSON") };
    text
}

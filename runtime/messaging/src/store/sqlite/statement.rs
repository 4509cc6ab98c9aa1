//! Statements with their arguments, made by the caller of a commit and carried out by the writer.

use std::sync::Arc;

use dormouse_storage::Error as Problem;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite as Driver, SqliteConnection, Type};

use crate::store::Error;

/// The numbers of rows that statements take: the next larger one is used, and filled up with NULL. More sizes would save
/// little, and each statement is compiled and kept.
const PREPARED_ROWS: [usize; 5] = [1, 4, 16, 64, 256];

/// A statement that can be carried out again: a clone shares the texts and bytes.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    sql: Arc<str>,
    arguments: SqliteArguments,
}

impl Statement {
    pub(super) fn new(sql: impl Into<Arc<str>>) -> Self {
        Self { sql: sql.into(), arguments: SqliteArguments::default() }
    }

    /// Binds the next parameter.
    pub(super) fn bind<'t, T: Encode<'t, Driver> + Type<Driver>>(&mut self, value: T) -> Result<(), Error> {
        self.arguments.add(value).map_err(|error| Problem::Unavailable(error.to_string()))?;
        Ok(())
    }

    /// The same with this parameter bound.
    pub(super) fn with<'t, T: Encode<'t, Driver> + Type<Driver>>(mut self, value: T) -> Result<Self, Error> {
        self.bind(value)?;
        Ok(self)
    }

    pub(super) async fn execute(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&self.sql)), self.arguments.clone());
        query.execute(connection).await?;
        Ok(())
    }

    /// Its text and its arguments, to read with it.
    pub(super) fn into_parts(self) -> (AssertSqlSafe<Arc<str>>, SqliteArguments) {
        (AssertSqlSafe(self.sql), self.arguments)
    }
}

/// `VALUES (?,?), (?,?)` for at least this many rows. Rows that are not bound are NULL. The parameters have no numbers, so
/// no parameter of the statement may have one.
pub(super) fn values(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("VALUES {}", vec![row; prepared(rows)].join(","))
}

/// The number of rows that one statement takes of so many rows.
pub(super) fn prepared(rows: usize) -> usize {
    let largest = PREPARED_ROWS[PREPARED_ROWS.len() - 1];
    PREPARED_ROWS.into_iter().find(|size| *size >= rows).unwrap_or(largest)
}

/// Numbers as a JSON array, for `json_each`: one parameter, however many they are.
pub(super) fn json_numbers(numbers: impl Iterator<Item = i64>) -> String {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
}

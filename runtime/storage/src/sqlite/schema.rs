//! How a file is recognized, and how its tables are brought up to date.

use sqlx::{Connection, SqliteConnection};

use crate::migrated::Migrated;

/// A type of file: the id that marks it, and the migrations that lead to its latest version.
#[derive(Debug)]
pub struct Schema {
    /// Stored in the header of the file (`PRAGMA application_id`); it never changes.
    application_id: i64,
    /// The migration at index n leads from version n to n + 1. Migrations are never changed, only added.
    migrations: &'static [&'static str],
}

/// Which application a file belongs to, as its header and its tables show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileIdentity {
    /// An empty database.
    Empty,
    /// A file of this type, with this schema version.
    Ours(i64),
    /// A file of another application, and the reason to think so.
    Foreign(String),
}

impl Schema {
    /// A type of file. No other type may have the same application id.
    #[must_use]
    pub const fn new(application_id: i64, migrations: &'static [&'static str]) -> Self {
        Self { application_id, migrations }
    }

    /// The application id as the header of a file stores it: big-endian.
    pub(super) fn application_id_bytes(&self) -> [u8; 4] {
        u32::try_from(self.application_id).unwrap_or_default().to_be_bytes()
    }

    /// The latest version that this program knows.
    #[must_use]
    pub fn latest(&self) -> i64 {
        self.migrations.len() as i64
    }

    /// Reads which application a database belongs to, without changing it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn inspect(&self, connection: &mut SqliteConnection) -> Result<FileIdentity, sqlx::Error> {
        let (application_id, version, tables): (i64, i64, i64) = sqlx::query_as(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
             FROM pragma_application_id, pragma_user_version",
        )
        .fetch_one(connection)
        .await?;
        Ok(if application_id == self.application_id {
            FileIdentity::Ours(version)
        } else if application_id != 0 {
            FileIdentity::Foreign(format!("it belongs to the application {application_id:#x}"))
        } else if tables > 0 || version != 0 {
            FileIdentity::Foreign("it is the database of another application".to_owned())
        } else {
            FileIdentity::Empty
        })
    }

    /// Runs the migrations that are missing, all or none. The file must be [`FileIdentity::Empty`] or
    /// [`FileIdentity::Ours`]; one that is newer is not changed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn migrate(&self, connection: &mut SqliteConnection) -> Result<Migrated, sqlx::Error> {
        // The lock is taken first: another process may migrate the same file.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let from: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
        let taken = usize::try_from(from).unwrap_or(usize::MAX).min(self.migrations.len());
        for step in &self.migrations[taken..] {
            sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        }
        let to = from.max(self.latest());
        if to != from {
            let header = format!("PRAGMA application_id = {}; PRAGMA user_version = {to}", self.application_id);
            sqlx::raw_sql(sqlx::AssertSqlSafe(header)).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Migrated { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SOME: Schema =
        Schema::new(0x444f_5254, &["CREATE TABLE some (id INTEGER)", "CREATE TABLE more (id INTEGER)"]);

    async fn memory() -> SqliteConnection {
        SqliteConnection::connect("sqlite::memory:").await.unwrap()
    }

    #[tokio::test]
    async fn an_older_file_is_brought_to_the_latest_version() {
        static OLDER: Schema = Schema::new(0x444f_5254, &["CREATE TABLE some (id INTEGER)"]);
        let mut connection = memory().await;
        OLDER.migrate(&mut connection).await.unwrap();
        assert_eq!(SOME.inspect(&mut connection).await.unwrap(), FileIdentity::Ours(1));
        assert_eq!(SOME.migrate(&mut connection).await.unwrap(), Migrated { from: 1, to: 2 });
        assert_eq!(SOME.migrate(&mut connection).await.unwrap(), Migrated { from: 2, to: 2 });
        assert_eq!(SOME.inspect(&mut connection).await.unwrap(), FileIdentity::Ours(2));
    }
}

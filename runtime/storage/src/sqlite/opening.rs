//! Opening a file after a look at it: a file that this program may not write is not changed.

use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::error;
use super::files;
use super::schema::{FileIdentity, Schema};
use crate::error::Error;

/// Why a file cannot be opened.
pub(super) enum Problem {
    /// The file is damaged.
    Damaged(String),
    /// The file is not ours, so it must not be changed.
    NotOurs(String),
    /// The file may be whole, but cannot be opened now.
    Failed(Error),
}

/// The time between two attempts to open a file whose lock another process holds: about as long as that process takes
/// to create it.
const PAUSE: Duration = Duration::from_millis(10);

/// Opens a file of ours and brings it up to date. A file that is missing is created, if the options say so.
///
/// SQLite does not wait for the lock that it needs to begin or to recover a WAL. So a file that is busy is tried again
/// for [`BUSY_TIMEOUT`](files::BUSY_TIMEOUT).
pub(super) async fn open(options: &SqliteConnectOptions, schema: &Schema) -> Result<SqliteConnection, Problem> {
    let began = Instant::now();
    loop {
        match attempt(options, schema).await {
            Err(Failure::Sqlite(failure)) if error::is_busy(&failure) && began.elapsed() < files::BUSY_TIMEOUT => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(Failure::Sqlite(failure)) => return Err(problem(failure)),
            Err(Failure::NotOurs(reason)) => return Err(Problem::NotOurs(reason)),
            Ok(connection) => return Ok(connection),
        }
    }
}

/// Why one attempt failed.
enum Failure {
    NotOurs(String),
    Sqlite(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(failure: sqlx::Error) -> Self {
        Self::Sqlite(failure)
    }
}

async fn attempt(options: &SqliteConnectOptions, schema: &Schema) -> Result<SqliteConnection, Failure> {
    let mut is_latest = false;
    if options.get_filename().exists() {
        // Read-only and without our settings: setting the journal mode would change a file of another application, and
        // so would closing a file that a crash has left with a WAL.
        let plain = SqliteConnectOptions::new().filename(options.get_filename()).read_only(true);
        let plain = plain.busy_timeout(files::BUSY_TIMEOUT);
        let mut inspector = plain.disable_statement_logging().connect().await?;
        let found = schema.inspect(&mut inspector).await;
        // The inspector has changed nothing, so a failed close loses nothing.
        let _closed = inspector.close().await;
        let found = found?;
        is_latest = found == FileIdentity::Ours(schema.latest());
        refuse_foreign(found, schema)?;
    }
    let mut connection = options.connect().await?;
    if !is_latest {
        schema.migrate(&mut connection).await?;
    }
    Ok(connection)
}

fn refuse_foreign(found: FileIdentity, schema: &Schema) -> Result<(), Failure> {
    let known = schema.latest();
    match found {
        FileIdentity::Foreign(how) => Err(Failure::NotOurs(how)),
        FileIdentity::Ours(version) if version > known => Err(Failure::NotOurs(format!(
            "a newer version of Dormouse wrote it (version {version}, this one knows {known}): use that one"
        ))),
        FileIdentity::Empty | FileIdentity::Ours(_) => Ok(()),
    }
}

fn problem(failure: sqlx::Error) -> Problem {
    if error::is_damage(&failure) {
        Problem::Damaged(error::reason(&failure))
    } else {
        Problem::Failed(error::classify(failure))
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteJournalMode;
    use tokio::task::JoinSet;

    use super::*;

    static SOME: Schema = Schema::new(0x444f_5254, &["CREATE TABLE some (id INTEGER)"]);

    #[tokio::test(flavor = "multi_thread")]
    async fn several_at_once_can_open_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        for file in 0..20 {
            let options = SqliteConnectOptions::new()
                .filename(directory.path().join(format!("{file}.db")))
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal);
            let mut tasks = JoinSet::new();
            for _ in 0..8 {
                let options = options.clone();
                tasks.spawn(async move { open(&options, &SOME).await.is_ok() });
            }
            assert!(tasks.join_all().await.into_iter().all(|opened| opened), "file {file}");
        }
    }
}

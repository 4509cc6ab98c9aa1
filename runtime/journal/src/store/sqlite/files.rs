//! The directory of a journal, the files in it, and how each is opened.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

/// How long a statement waits for another connection's lock. Only a takeover, a checkpoint at the end of another
/// process, or a foreign tool holds one for longer than a commit takes.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages (4 KiB) in the WAL of the log before it is copied back. Four times SQLite's default: each page of the log is
/// written by several commits in a row, and copied back only once.
const LOG_CHECKPOINT_PAGES: &str = "4000";

/// The same for the index, whose transactions touch pages all over the file.
const INDEX_CHECKPOINT_PAGES: &str = "16000";

/// Pages of the index that its writer caches, in KiB when negative: 64 MiB, one transaction's worth.
const INDEX_CACHE: &str = "-65536";

/// What a WAL keeps of its size once it was copied back. A reader that stays open makes it grow without limit, and SQLite
/// alone would keep all of that. This is what the busiest of our files needs.
const WAL_BYTES_KEPT: &str = "67108864";

/// Rows that a reading connection may be ahead of whoever takes them: all that a load for many finds. At a full buffer
/// its thread would go to sleep, to be woken for a few rows more.
const ROWS_AHEAD: usize = 2048;

/// Where the files of a journal are.
#[derive(Clone, Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The path as operators know it, for messages.
    pub(super) fn place(&self) -> String {
        self.directory.display().to_string()
    }

    pub(super) fn create_directory(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.directory)
    }

    /// The log: the truth.
    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("journal.db")
    }

    /// The log for `ATTACH`, so that it cannot be written (<https://sqlite.org/uri.html>).
    pub(super) fn log_read_only_uri(&self) -> String {
        let mut uri = String::from("file:");
        for byte in self.log().to_string_lossy().bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                    uri.push(char::from(byte))
                }
                _ => uri.push_str(&format!("%{byte:02X}")),
            }
        }
        uri + "?mode=ro"
    }

    /// Derived from the log.
    pub(super) fn index(&self) -> PathBuf {
        self.directory.join("index.db")
    }

    /// A cache.
    pub(super) fn snapshots(&self) -> PathBuf {
        self.directory.join("snapshots.db")
    }

    /// To look at the log before anything is changed, even its journal mode: it may be somebody else's.
    pub(super) fn log_inspector(&self, create: bool) -> SqliteConnectOptions {
        options(&self.log()).create_if_missing(create).read_only(!create)
    }

    pub(super) fn log_writer(&self) -> SqliteConnectOptions {
        options(&self.log())
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", LOG_CHECKPOINT_PAGES)
            .thread_name(|_| "journal-log".to_owned())
    }

    pub(super) fn index_writer(&self) -> SqliteConnectOptions {
        options(&self.index())
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", INDEX_CHECKPOINT_PAGES)
            .pragma("cache_size", INDEX_CACHE)
            .pragma("temp_store", "MEMORY")
            .thread_name(|_| "journal-index".to_owned())
    }

    pub(super) fn snapshot_writer(&self) -> SqliteConnectOptions {
        options(&self.snapshots())
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .thread_name(|_| "journal-snapshot".to_owned())
    }

    pub(super) fn index_reader(&self) -> SqliteConnectOptions {
        options(&self.index()).read_only(true)
    }

    pub(super) fn snapshot_reader(&self) -> SqliteConnectOptions {
        options(&self.snapshots()).read_only(true)
    }

    pub(super) fn reader(&self) -> SqliteConnectOptions {
        options(&self.log())
            .read_only(true)
            .pragma("query_only", "ON")
            .row_buffer_size(ROWS_AHEAD)
            .thread_name(|number| format!("journal-read-{number}"))
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    // Statements hold up to a thousand rows: nobody wants to read them in a log.
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("journal_size_limit", WAL_BYTES_KEPT)
        .foreign_keys(false)
        .disable_statement_logging()
}

/// Puts a database aside that can be made again, under the name `<file>.damaged`, in place of an earlier one. The file itself
/// goes first: without it SQLite ignores a WAL that is left, while a file that lost its WAL would pass for whole.
pub(super) fn put_aside(path: &Path) -> io::Result<()> {
    let with = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::rename(with(suffix), with(&format!(".damaged{suffix}"))) {
            // There is nothing to put aside; nor must a part of an earlier one pass for a part of this.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match std::fs::remove_file(with(&format!(".damaged{suffix}"))) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            moved => moved?,
        }
    }
    Ok(())
}

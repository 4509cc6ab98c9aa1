//! The directory of a journal, its files, and the options to open them.

use std::io;
use std::path::{Path, PathBuf};

use dormouse_storage::sqlite::BUSY_TIMEOUT;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

/// Pages (4 KiB) in the WAL of the log before a checkpoint. Four times SQLite's default: several commits in a row write
/// the same page of the log, and a checkpoint copies it only once.
const LOG_CHECKPOINT_PAGES: &str = "4000";

/// Pages in the WAL of the index, whose transactions touch pages all over the file.
const INDEX_CHECKPOINT_PAGES: &str = "16000";

/// The cache of the index writer, in KiB when negative: 64 MiB, enough for one transaction.
const INDEX_CACHE: &str = "-65536";

/// The size to which a WAL is truncated after a checkpoint. A reader that stays open makes a WAL grow without limit,
/// and by default SQLite would keep that size. The busiest of our files needs this much.
const WAL_BYTES_KEPT: &str = "67108864";

/// Rows that SQLite's thread may be ahead of the reader: as many as a shared load finds. At a full buffer the thread
/// would sleep, and be woken for a few rows more.
const ROWS_AHEAD: usize = 2048;

/// What is encoded in the path of a URI: all but the unreserved characters of RFC 3986 and slashes.
const ENCODED_IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// The paths of the files of a journal.
#[derive(Clone, Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The directory, for messages.
    pub(super) fn place(&self) -> String {
        self.directory.display().to_string()
    }

    pub(super) fn create_directory(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.directory)
    }

    /// The log.
    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("journal.db")
    }

    /// The log as a read-only URI for `ATTACH` (<https://sqlite.org/uri.html>).
    pub(super) fn log_read_only_uri(&self) -> String {
        format!("file:{}?mode=ro", utf8_percent_encode(&self.log().to_string_lossy(), ENCODED_IN_PATHS))
    }

    /// The index, derived from the log.
    pub(super) fn index(&self) -> PathBuf {
        self.directory.join("index.db")
    }

    /// The snapshots, a cache.
    pub(super) fn snapshots(&self) -> PathBuf {
        self.directory.join("snapshots.db")
    }

    /// Opens the log for a check without changing anything, even its journal mode: it may be a file of another
    /// application.
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
    // Statements have up to a thousand rows, too long for a log.
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("journal_size_limit", WAL_BYTES_KEPT)
        .foreign_keys(false)
        .disable_statement_logging()
}

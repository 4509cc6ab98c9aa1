//! Watches the size of write-ahead logs, and warns if a reader keeps one from being reset.
//!
//! SQLite resets a WAL, so that it is written from its beginning again, once all of it was copied into the database and
//! no reader uses it. A reader that stays in a transaction (a shell that was left open) prevents that, and the WAL
//! grows with every commit until the disk is full.
//!
//! The watch opens only the WAL itself. The WAL-index (`-shm`) and the database carry the locks of this process, and
//! Linux drops all of them when the process closes any descriptor of such a file (fcntl(2), "Record locking").

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use metrics::gauge;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{info, warn};

use crate::metric;

/// A larger WAL means that checkpoints are held up: between two of them no WAL of ours reaches a quarter of this.
const BYTES_EXPECTED: u64 = 256 << 20;

/// The time between two checks: short enough that a disk does not fill up meanwhile, long enough that an idle server
/// hardly wakes.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The time between two warnings about the same WAL.
const REMINDER: Duration = Duration::from_secs(600);

/// The bytes of a WAL's header that change with every reset: its checkpoint sequence number and its salts
/// (<https://sqlite.org/fileformat.html#the_write_ahead_log>).
const RESET_MARK: Range<usize> = 12..24;
const HEADER_BYTES: usize = 32;

/// Sets the gauges of some WALs and warns about those that are too large.
///
/// Background task: checks every ten seconds, from [`start`](Self::start) until the watch is dropped.
#[derive(Debug)]
pub struct WalWatch {
    task: JoinHandle<()>,
}

impl WalWatch {
    /// Starts to watch the WALs of these databases, each with its name in metrics.
    #[must_use]
    pub fn start(databases: impl IntoIterator<Item = (&'static str, PathBuf)>) -> Self {
        let watched = databases.into_iter().map(|(name, path)| Watched::new(name, Wal::new(&path, BYTES_EXPECTED)));
        Self { task: tokio::spawn(watch(watched.collect())) }
    }
}

impl Drop for WalWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(mut watched: Vec<Watched>) {
    loop {
        // On a thread for blocking work: a disk that hangs must not hold a thread of the runtime.
        let checked = spawn_blocking(move || {
            watched.iter_mut().for_each(|watched| watched.check(Instant::now()));
            watched
        });
        let Ok(back) = checked.await else { return };
        watched = back;
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

struct Watched {
    name: &'static str,
    wal: Wal,
    warned: Option<Instant>,
}

impl Watched {
    fn new(name: &'static str, wal: Wal) -> Self {
        Self { name, wal, warned: None }
    }

    fn check(&mut self, now: Instant) {
        // A WAL that cannot be read now is read at the next check.
        let Ok(seen) = self.wal.check(now) else { return };
        let held_up = seen.held_up.unwrap_or_default();
        gauge!(metric::WAL_BYTES, "file" => self.name).set(seen.bytes as f64);
        gauge!(metric::WAL_HELD_UP, "file" => self.name).set(held_up.as_secs_f64());
        let file = self.wal.path.display();
        match (seen.held_up, self.warned) {
            (Some(_), Some(warned)) if now.saturating_duration_since(warned) < REMINDER => {}
            (Some(since), _) => {
                self.warned = Some(now);
                warn!(
                    %file, bytes = seen.bytes, held_up_seconds = since.as_secs(),
                    "a write-ahead log grows and has not been reset for that long: most likely a program reads the database in \
                     one transaction; end it (see `fuser FILE`), or the disk fills up"
                );
            }
            (None, Some(_)) => {
                self.warned = None;
                info!(%file, bytes = seen.bytes, "a write-ahead log was reset");
            }
            (None, None) => {}
        }
    }
}

/// One write-ahead log.
struct Wal {
    path: PathBuf,
    expected: u64,
    /// The mark of the last reset that was seen, and when it was first seen.
    reset: Option<(ResetMark, Instant)>,
}

/// Distinguishes a WAL from the one before its reset.
type ResetMark = [u8; RESET_MARK.end - RESET_MARK.start];

/// The state of a WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WalState {
    bytes: u64,
    /// For how long a WAL that is larger than expected has not been reset.
    held_up: Option<Duration>,
}

impl Wal {
    fn new(database: &Path, expected: u64) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self { path: path.into(), expected, reset: None }
    }

    fn check(&mut self, now: Instant) -> io::Result<WalState> {
        let Some((bytes, mark)) = self.read()? else {
            self.reset = None;
            return Ok(WalState { bytes: 0, held_up: None });
        };
        let since = match self.reset {
            Some((before, since)) if before == mark => since,
            _ => now,
        };
        self.reset = Some((mark, since));
        let held_up = (bytes > self.expected).then(|| now.saturating_duration_since(since));
        Ok(WalState { bytes, held_up })
    }

    /// Its size and its reset mark. `None` if the WAL is empty or missing.
    fn read(&self) -> io::Result<Option<(u64, ResetMark)>> {
        let read = File::open(&self.path).and_then(|mut file| {
            let mut header = [0; HEADER_BYTES];
            file.read_exact(&mut header)?;
            let mut mark = ResetMark::default();
            mark.copy_from_slice(&header[RESET_MARK]);
            Ok((file.metadata()?.len(), mark))
        });
        match read {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Ok(None),
            read => read.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
    use sqlx::{ConnectOptions, Connection, SqliteConnection};

    use super::*;

    const EXPECTED: u64 = 256 << 10;

    async fn run(connection: &mut SqliteConnection, sql: &'static str) {
        sqlx::raw_sql(sql).execute(connection).await.unwrap();
    }

    /// Commits of about a page each.
    async fn write(connection: &mut SqliteConnection, commits: usize) {
        for _ in 0..commits {
            run(connection, "INSERT INTO numbers VALUES (randomblob(4000))").await;
        }
    }

    /// Whether this process holds locks on the WAL-index, according to Linux (proc_locks(5)).
    fn has_locks(database: &Path) -> bool {
        let index = std::fs::metadata(format!("{}-shm", database.display())).unwrap().ino();
        let (process, file) = (std::process::id().to_string(), format!(":{index}"));
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let is_ours = |lock: &str| {
            let fields: Vec<&str> = lock.split_whitespace().collect();
            fields.get(4) == Some(&process.as_str()) && fields.get(5).is_some_and(|found| found.ends_with(&file))
        };
        locks.lines().any(is_ours)
    }

    #[tokio::test]
    async fn a_wal_that_a_reader_in_a_transaction_holds_up_is_noticed_with_its_duration() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("some.db");
        let mut wal = Wal::new(&path, EXPECTED);
        assert_eq!(wal.check(Instant::now()).unwrap(), WalState { bytes: 0, held_up: None });

        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Off)
            .pragma("wal_autocheckpoint", "10")
            .pragma("journal_size_limit", "65536");
        let mut writer = options.connect().await.unwrap();
        run(&mut writer, "CREATE TABLE numbers (number)").await;
        write(&mut writer, 200).await;
        let seen = wal.check(Instant::now()).unwrap();
        assert!(seen.bytes > 0 && seen.bytes <= EXPECTED && seen.held_up.is_none(), "{seen:?}");

        let mut reader = options.clone().read_only(true).connect().await.unwrap();
        run(&mut reader, "BEGIN; SELECT count(*) FROM numbers").await;
        write(&mut writer, 20).await;
        let began = Instant::now();
        assert_eq!(wal.check(began).unwrap().held_up, None, "it is not large yet");
        write(&mut writer, 200).await;
        let later = began + Duration::from_secs(3600);
        let seen = wal.check(later).unwrap();
        assert!(seen.bytes > EXPECTED, "{seen:?}");
        assert!(has_locks(&path), "a check must not give up the locks of this process");
        assert!(seen.held_up >= Some(Duration::from_secs(3600)), "{seen:?}");

        run(&mut reader, "COMMIT").await;
        write(&mut writer, 50).await;
        let seen = wal.check(later).unwrap();
        assert!(seen.bytes <= EXPECTED && seen.held_up.is_none(), "{seen:?}");
        reader.close().await.unwrap();
        writer.close().await.unwrap();
        assert_eq!(wal.check(later).unwrap(), WalState { bytes: 0, held_up: None });
    }
}

//! The write-ahead logs of our files: how large they are, and whether somebody who reads keeps them from being copied back.
//!
//! A WAL begins anew once all of it was copied into its database and nobody reads it. A reader that stays in a transaction (a
//! shell that somebody left open) keeps that from happening, and the WAL grows with every commit until the disk is full.
//!
//! Only the WAL itself is opened. The WAL-index (`-shm`) and the database carry the locks of this process, and Linux drops all
//! of them when the process closes any descriptor of such a file (fcntl(2), "Record locking").

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use metrics::gauge;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{info, warn};

use crate::metric;

/// Past this, checkpoints are held up: between two of them no WAL of ours comes to a quarter of it.
const BYTES_EXPECTED: u64 = 256 << 20;

/// Between two looks: a disk does not fill up within it, and a server with nothing to do hardly wakes.
const LOOK: Duration = Duration::from_secs(10);

/// Between two warnings about the same.
const REMINDER: Duration = Duration::from_secs(600);

/// Where the header of a WAL has what is different each time it begins anew: its checkpoint sequence number and its salts
/// (<https://sqlite.org/fileformat.html#the_write_ahead_log>).
const BEGINNING: Range<usize> = 12..24;
const HEADER_BYTES: usize = 32;

/// Looks after the WALs of some files, from [`start`](Self::start) until it is dropped: gauges, and a warning.
#[derive(Debug)]
pub struct WalWatch {
    task: JoinHandle<()>,
}

impl WalWatch {
    /// Of databases, each with the name that it goes by in metrics.
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
        // A disk that hangs keeps no thread of others.
        let looked = spawn_blocking(move || {
            watched.iter_mut().for_each(|watched| watched.look(Instant::now()));
            watched
        });
        let Ok(back) = looked.await else { return };
        watched = back;
        tokio::time::sleep(LOOK).await;
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

    fn look(&mut self, now: Instant) {
        // What cannot be looked at now is looked at again.
        let Ok(seen) = self.wal.look(now) else { return };
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
                    "a write-ahead log grows and has not begun anew for that long: most likely a program reads the database in \
                     one transaction; end it (see `fuser FILE`), or the disk fills up"
                );
            }
            (None, Some(_)) => {
                self.warned = None;
                info!(%file, bytes = seen.bytes, "a write-ahead log has begun anew");
            }
            (None, None) => {}
        }
    }
}

/// One write-ahead log.
struct Wal {
    path: PathBuf,
    expected: u64,
    /// How its header began when it was last looked at, and since when it begins so.
    begun: Option<(Beginning, Instant)>,
}

/// What tells a WAL from the one before it in the same file.
type Beginning = [u8; BEGINNING.end - BEGINNING.start];

/// How a WAL is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    bytes: u64,
    /// It is larger than expected, and has not begun anew for so long.
    held_up: Option<Duration>,
}

impl Wal {
    fn new(database: &Path, expected: u64) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self { path: path.into(), expected, begun: None }
    }

    fn look(&mut self, now: Instant) -> io::Result<Seen> {
        let Some((bytes, beginning)) = self.read()? else {
            self.begun = None;
            return Ok(Seen { bytes: 0, held_up: None });
        };
        let since = match self.begun {
            Some((before, since)) if before == beginning => since,
            _ => now,
        };
        self.begun = Some((beginning, since));
        let held_up = (bytes > self.expected).then(|| now.saturating_duration_since(since));
        Ok(Seen { bytes, held_up })
    }

    /// How large it is and how it begins; none, if there is nothing in it.
    fn read(&self) -> io::Result<Option<(u64, Beginning)>> {
        let read = File::open(&self.path).and_then(|mut file| {
            let mut header = [0; HEADER_BYTES];
            file.read_exact(&mut header)?;
            let mut beginning = Beginning::default();
            beginning.copy_from_slice(&header[BEGINNING]);
            Ok((file.metadata()?.len(), beginning))
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

    /// So many commits of a page or so each.
    async fn write(connection: &mut SqliteConnection, commits: usize) {
        for _ in 0..commits {
            run(connection, "INSERT INTO numbers VALUES (randomblob(4000))").await;
        }
    }

    /// Whether this process holds locks on the WAL-index, as Linux tells (proc_locks(5)).
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
    async fn a_reader_that_stays_in_a_transaction_is_found_by_what_it_holds_up_and_since_when() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("some.db");
        let mut wal = Wal::new(&path, EXPECTED);
        assert_eq!(wal.look(Instant::now()).unwrap(), Seen { bytes: 0, held_up: None });

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
        let seen = wal.look(Instant::now()).unwrap();
        assert!(seen.bytes > 0 && seen.bytes <= EXPECTED && seen.held_up.is_none(), "{seen:?}");

        let mut reader = options.clone().read_only(true).connect().await.unwrap();
        run(&mut reader, "BEGIN; SELECT count(*) FROM numbers").await;
        write(&mut writer, 20).await;
        let began = Instant::now();
        assert_eq!(wal.look(began).unwrap().held_up, None, "it is not large yet");
        write(&mut writer, 200).await;
        let later = began + Duration::from_secs(3600);
        let seen = wal.look(later).unwrap();
        assert!(seen.bytes > EXPECTED, "{seen:?}");
        assert!(has_locks(&path), "a look must not give up the locks of this process");
        assert!(seen.held_up >= Some(Duration::from_secs(3600)), "{seen:?}");

        run(&mut reader, "COMMIT").await;
        write(&mut writer, 50).await;
        let seen = wal.look(later).unwrap();
        assert!(seen.bytes <= EXPECTED && seen.held_up.is_none(), "{seen:?}");
        reader.close().await.unwrap();
        writer.close().await.unwrap();
        assert_eq!(wal.look(later).unwrap(), Seen { bytes: 0, held_up: None });
    }
}

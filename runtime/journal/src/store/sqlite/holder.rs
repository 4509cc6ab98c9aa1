//! Waiting for another process that holds the lock of the log, and naming that process.
//!
//! A process that was stopped, or hangs, in the middle of a commit keeps SQLite's write lock until it continues or
//! ends. Only then can its successor know what the log contains. The lock cannot be taken from it.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::warn;

/// SQLite's write lock in WAL mode: this byte of the file `-shm` (<https://sqlite.org/walformat.html#wal_locks>).
const WRITE_LOCK_BYTE: &str = "120";

/// How long a start waits for the lock of a file.
#[derive(Debug)]
pub(super) struct Patience {
    file: PathBuf,
    bound: Duration,
    started: Instant,
}

impl Patience {
    pub(super) fn new(file: PathBuf, bound: Duration) -> Self {
        Self { file, bound, started: Instant::now() }
    }

    /// After an attempt that found the file locked: logs which process holds the lock, and returns whether to keep
    /// waiting.
    pub(super) fn lasts(&self) -> bool {
        let lasts = self.started.elapsed() < self.bound;
        if lasts {
            let holder = Holder::of(&self.file);
            warn!(file = %self.file.display(), %holder, bound = ?self.bound, "waiting for the lock of the log");
        }
        lasts
    }

    /// The error when the time is over.
    pub(super) fn exhausted(&self) -> String {
        let (file, bound) = (self.file.display(), self.bound);
        match Holder::of(&self.file) {
            Holder::Unknown => format!(
                "another process has held the lock of {file} for {bound:?}: end it, or raise journal.takeover_timeout"
            ),
            holder @ Holder::Process { id, .. } => format!(
                "{holder} has held the lock of {file} for {bound:?}: if it does not go on by itself, end it \
                 (kill -KILL {id}) and start again"
            ),
        }
    }
}

/// The holder of the write lock of a database.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    Process { id: u32, stopped: bool },
    Unknown,
}

impl Holder {
    /// Reads the holder from the locks that Linux lists. It does not open the file: closing it would give up the locks
    /// of this process on it.
    fn of(database: &Path) -> Self {
        let mut shm = database.as_os_str().to_owned();
        shm.push("-shm");
        let (Ok(metadata), Ok(locks)) = (fs::metadata(shm), fs::read_to_string("/proc/locks")) else {
            return Self::Unknown;
        };
        let holder = locks.lines().find_map(|line| write_lock_holder(line, metadata.dev(), metadata.ino()));
        // Zero or less is a process of another container.
        match holder.filter(|id| *id > 0) {
            Some(id) => Self::Process { id, stopped: is_stopped(id) },
            None => Self::Unknown,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { id, stopped: true } => write!(formatter, "process {id}, which is stopped,"),
            Self::Process { id, stopped: false } => write!(formatter, "process {id}"),
            Self::Unknown => formatter.write_str("another process"),
        }
    }
}

/// The process in a line such as `1: POSIX  ADVISORY  WRITE 4711 fe:00:1234 120 120` (proc_locks(5)).
fn write_lock_holder(line: &str, device: u64, inode: u64) -> Option<u32> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, "POSIX", _, "WRITE", process, file, WRITE_LOCK_BYTE, WRITE_LOCK_BYTE] = fields[..] else { return None };
    (file == format!("{:02x}:{:02x}:{inode}", major(device), minor(device))).then_some(())?;
    process.parse().ok()
}

/// The major and minor number of a device, as glibc computes them (makedev(3)).
const fn major(device: u64) -> u64 {
    ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff)
}

const fn minor(device: u64) -> u64 {
    (device & 0xff) | ((device >> 12) & !0xff)
}

fn is_stopped(process: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
    // The state follows the name, which is in parentheses and may itself contain parentheses.
    let state = status.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    matches!(state, Some("T" | "t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "12: POSIX  ADVISORY  WRITE 4711 fe:03:524311 120 120";

    #[test]
    fn the_holder_of_the_write_lock_of_a_file_is_found() {
        let device = 0xfe03;
        assert_eq!(write_lock_holder(LINE, device, 524_311), Some(4711));
        assert_eq!(write_lock_holder(LINE, device, 524_312), None);
        assert_eq!(write_lock_holder(LINE, device + 1, 524_311), None);
        assert_eq!(write_lock_holder(&LINE.replace("120 120", "123 123"), device, 524_311), None);
        assert_eq!(write_lock_holder(&LINE.replace("WRITE", "READ"), device, 524_311), None);
        assert_eq!(write_lock_holder(&LINE.replace("12:", "12: ->"), device, 524_311), None, "it waits");
    }
}

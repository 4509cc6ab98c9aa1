//! The lock timeout of all connections to SQLite files, and how a file is put aside.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a statement waits for the lock of another connection. Only a takeover of the journal, a checkpoint at the
/// end of another process, or another program holds a lock for longer than a commit takes.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Renames a database that can be made again to `<file>.damaged`, and replaces an earlier one of that name. The
/// database file is renamed before its WAL: SQLite ignores a WAL without a database, but would read a database that has
/// lost its WAL as if it were complete.
pub(super) fn put_aside(path: &Path) -> io::Result<()> {
    let with = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::rename(with(suffix), with(&format!(".damaged{suffix}"))) {
            // This database has no such file. That of an earlier damaged database must not be taken for a part of this
            // one.
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

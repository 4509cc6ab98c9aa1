//! What the connections to all SQLite files share, and putting a file aside.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a statement waits for another connection's lock. Only a takeover, a checkpoint at the end of another
/// process, or a foreign tool holds one for longer than a commit takes.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

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

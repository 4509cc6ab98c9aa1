//! Opens the files of a log: takes the lock, finds the last entry, and cuts a last line that is not complete.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::OpenError;
use crate::chain::Head;
use crate::damage::Damage;
use crate::key::{Key, KeyError};
use crate::segments::{self, Segment};
use crate::verify::{Chain, SegmentEnd, VerifyError, check_numbers};

/// The file whose lock says that a process writes the log. It stays when the process ends, and its lock does not.
const LOCK: &str = "audit.lock";

/// A log that is ready to be written.
pub(super) struct Opened {
    pub(super) key: Key,
    /// The last entry.
    pub(super) head: Head,
    /// The segment that is written, and its bytes. `None`: there is none yet.
    pub(super) segment: Option<(File, u64)>,
    /// The number of the last segment. Zero: there is none.
    pub(super) number: u64,
    /// The bytes of all segments.
    pub(super) bytes: u64,
    /// The bytes that were cut off.
    pub(super) cut_bytes: u64,
    /// Held until the log is closed.
    pub(super) lock: File,
}

pub(super) fn open(directory: &Path, key: &Path) -> Result<Opened, OpenError> {
    let io = |source| OpenError::Io { path: directory.to_owned(), source };
    // Entries say who did what from where: that is not for everybody on the machine.
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
    let lock = lock(directory)?;
    let list = segments::list(directory).map_err(io)?;
    let key = match Key::load(key) {
        Err(KeyError::Missing { .. }) if list.is_empty() => Key::create(key)?,
        loaded => loaded?,
    };
    let damaged = |damage| OpenError::Damaged { directory: directory.to_owned(), damage };
    check_numbers(directory, &list).map_err(damaged)?;
    let Some((last, before)) = list.split_last() else {
        return Ok(Opened { key, head: Head::EMPTY, segment: None, number: 0, bytes: 0, cut_bytes: 0, lock });
    };
    let (mut head, end) = end_of(directory, &key, last)?;
    if end.lines == 0 {
        // The process ended when it had just begun this segment: the one before has the last entry.
        head = match before.last() {
            None if last.number == 1 => Head::EMPTY,
            None => return Err(damaged(Damage::Incomplete { segment: last.name() })),
            Some(segment) => match end_of(directory, &key, segment)? {
                (head, SegmentEnd { lines: 1.., incomplete: 0, .. }) => head,
                _ => return Err(damaged(Damage::Incomplete { segment: segment.name() })),
            },
        };
    }
    let io = |source| OpenError::Io { path: last.path.clone(), source };
    let file = append_to(&last.path, false).map_err(io)?;
    if end.incomplete > 0 {
        file.set_len(end.bytes).and_then(|()| file.sync_all()).map_err(io)?;
    }
    let bytes = before.iter().map(|segment| segment.bytes).sum::<u64>() + end.bytes;
    let (segment, number) = (Some((file, end.bytes)), last.number);
    Ok(Opened { key, head, segment, number, bytes, cut_bytes: end.incomplete, lock })
}

/// Opens a segment for writing at its end.
pub(super) fn append_to(path: &Path, create_new: bool) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(create_new).mode(0o600).open(path)
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK);
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = opened.map_err(|source| OpenError::Io { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { directory: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
    }
}

/// Verifies one segment. Returns the last entry, and the place where the complete lines end.
fn end_of(directory: &Path, key: &Key, segment: &Segment) -> Result<(Head, SegmentEnd), OpenError> {
    let failed = |error| match error {
        VerifyError::Damage(damage) => OpenError::Damaged { directory: directory.to_owned(), damage },
        VerifyError::Io { path, source } => OpenError::Io { path, source },
    };
    let mut chain = Chain::new(key, None);
    let end = chain.follow(segment, &mut |_| {}).map_err(failed)?;
    let (_, head) = chain.finish().map_err(|damage| failed(damage.into()))?;
    Ok((head, end))
}

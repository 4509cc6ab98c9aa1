//! Archives of folders: tar, compressed with zstd.

use std::io::{self, Write};
use std::path::Path;

use tokio_util::sync::CancellationToken;

/// zstd's own default: a good ratio at the speed of a disk.
const LEVEL: i32 = 3;

/// Writes the files of a folder. Links are stored as links. It fails once `cancelled` is.
pub(super) fn write(folder: &Path, to: impl Write, cancelled: CancellationToken) -> io::Result<()> {
    let encoder = zstd::Encoder::new(Cancellable { to, cancelled }, LEVEL)?;
    let mut archive = tar::Builder::new(encoder);
    archive.follow_symlinks(false);
    archive.append_dir_all("", folder)?;
    archive.into_inner()?.finish()?.flush()
}

/// A writer that fails once it is cancelled.
struct Cancellable<W> {
    to: W,
    cancelled: CancellationToken,
}

impl<W: Write> Cancellable<W> {
    fn check(&self) -> io::Result<()> {
        if self.cancelled.is_cancelled() {
            return Err(io::Error::other("nobody waits for the backup any more"));
        }
        Ok(())
    }
}

impl<W: Write> Write for Cancellable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.check()?;
        self.to.flush()
    }
}

//! The file of a ledger. Each line is on disk before its writer continues.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// An append-only file of lines. Threads that write at the same time share one sync.
#[derive(Debug)]
pub(super) struct LedgerFile {
    path: PathBuf,
    unwritten: Mutex<Unwritten>,
    /// The thread that holds this lock writes for all threads that wait for it.
    file: Mutex<Synced>,
}

#[derive(Debug, Default)]
struct Unwritten {
    text: Vec<u8>,
    /// The number of lines that were ever added.
    lines: u64,
}

#[derive(Debug)]
struct Synced {
    file: File,
    /// The number of lines that are on disk.
    lines: u64,
}

impl LedgerFile {
    pub(super) fn create(path: &Path) -> Self {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.unwrap_or_else(|error| panic!("{} cannot be made: {error}", path.display()));
        Self { path: path.to_owned(), unwritten: Mutex::default(), file: Mutex::new(Synced { file, lines: 0 }) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line, which is on disk after the next [`sync`](Self::sync). Returns its number for that call.
    pub(super) fn write(&self, line: &str) -> u64 {
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        unwritten.text.extend_from_slice(line.as_bytes());
        unwritten.text.push(b'\n');
        unwritten.lines += 1;
        unwritten.lines
    }

    /// Returns when the line with that number is on disk, synced by this thread or by another.
    pub(super) fn sync(&self, line: u64) {
        let mut synced = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if synced.lines >= line {
            return;
        }
        let Unwritten { text, lines } = {
            let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
            Unwritten { text: std::mem::take(&mut unwritten.text), lines: unwritten.lines }
        };
        let written = synced.file.write_all(&text).and_then(|()| synced.file.sync_data());
        written.unwrap_or_else(|error| panic!("{} cannot be written: {error}", self.path.display()));
        synced.lines = lines;
    }
}

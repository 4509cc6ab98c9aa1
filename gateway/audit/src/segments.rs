//! The files of the log: their names, their order, and their lines.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::limits::LINE_BYTES_MAX;

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";

/// Digits of a number; a larger number has more.
const DIGITS: usize = 6;

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its number, from 1.
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

impl Segment {
    pub(crate) fn path(directory: &Path, number: u64) -> PathBuf {
        directory.join(format!("{PREFIX}{number:0DIGITS$}{SUFFIX}"))
    }

    /// Its name, for messages.
    pub(crate) fn name(&self) -> String {
        name_of(&self.path)
    }
}

pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The segments of a log, in their order. Other files are not looked at. A directory that does not exist has none.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<Segment>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(number) = entry.file_name().to_str().and_then(parse_name) {
            segments.push(Segment { number, path: entry.path(), bytes: entry.metadata()?.len() });
        }
    }
    segments.sort_by_key(|segment| segment.number);
    Ok(segments)
}

/// The bytes of all segments of a log.
///
/// # Errors
/// The directory cannot be read.
pub fn bytes(directory: &Path) -> io::Result<u64> {
    Ok(list(directory)?.iter().map(|segment| segment.bytes).sum())
}

fn parse_name(name: &str) -> Option<u64> {
    let number = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()?;
    // Each number has one name.
    (name == format!("{PREFIX}{number:0DIGITS$}{SUFFIX}") && number > 0).then_some(number)
}

/// The lines of a segment, one by one.
pub(crate) struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
    /// The number of the line, from 1.
    pub(crate) number: u64,
    /// The bytes of the complete lines so far.
    pub(crate) bytes: u64,
}

/// What comes next in a segment.
pub(crate) enum NextLine<'l> {
    /// A line, without its line break.
    Complete(&'l [u8]),
    /// The rest of the file, of so many bytes, has no line break: it is being written, or was when the process ended.
    Incomplete(u64),
    /// A line that is longer than any that was written.
    TooLong,
    End,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::with_capacity(1 << 16, File::open(path)?), line: Vec::new(), number: 0, bytes: 0 })
    }

    pub(crate) fn next(&mut self) -> io::Result<NextLine<'_>> {
        self.line.clear();
        let most = LINE_BYTES_MAX as u64 + 1;
        let read = self.file.by_ref().take(most).read_until(b'\n', &mut self.line)?;
        self.number += 1;
        Ok(match self.line.strip_suffix(b"\n") {
            Some(line) => {
                self.bytes += read as u64;
                NextLine::Complete(line)
            }
            None if read == 0 => NextLine::End,
            None if read as u64 == most => NextLine::TooLong,
            None => NextLine::Incomplete(read as u64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_in_the_order_of_their_numbers_and_other_files_are_none() {
        let place = tempfile::tempdir().unwrap();
        assert!(list(&place.path().join("missing")).unwrap().is_empty());
        for name in [
            "audit-000010.jsonl",
            "audit-000009.jsonl",
            "audit-1000000.jsonl",
            "audit-000000.jsonl",
            "audit-9.jsonl",
            "audit-0000011.jsonl",
            "audit-00001x.jsonl",
            "audit-000001.jsonl.gz",
            "audit.lock",
        ] {
            fs::write(place.path().join(name), "x").unwrap();
        }
        let numbers: Vec<_> = list(place.path()).unwrap().iter().map(|segment| segment.number).collect();
        assert_eq!(numbers, [9, 10, 1_000_000]);
        assert_eq!(bytes(place.path()).unwrap(), 3);
    }
}

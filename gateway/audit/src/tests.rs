//! The log as a whole: what is written is found again, and what was changed is found out.

mod reading;
mod recording;
mod tampering;

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::bounds::Bounds;
use crate::log::{AuditLog, OpenError};
use crate::segments;
use crate::{Action, Entry, Head, Key, Outcome, Verified, VerifyError, Who, verify};

/// A directory with a log, and its key elsewhere.
struct Site {
    place: TempDir,
    bounds: Bounds,
}

impl Site {
    fn new() -> Self {
        Self { place: TempDir::new().unwrap(), bounds: Bounds::of(1 << 30) }
    }

    /// A site whose segments have a few entries.
    fn of_small_segments() -> Self {
        let mut site = Self::new();
        site.bounds.segment_bytes = 1000;
        site
    }

    fn directory(&self) -> PathBuf {
        self.place.path().join("audit")
    }

    fn key(&self) -> PathBuf {
        self.place.path().join("audit.key")
    }

    fn open(&self) -> Result<AuditLog, OpenError> {
        AuditLog::open_with(&self.directory(), &self.key(), self.bounds)
    }

    /// Records so many entries, and closes the log. Returns the heads.
    async fn filled(&self, count: usize) -> Vec<Head> {
        let log = self.open().unwrap();
        let mut heads = Vec::new();
        for number in 0..count {
            heads.push(log.record(action(&format!("/admin/{number}"))).await.unwrap());
        }
        assert_eq!(log.close().await, heads.last().copied().unwrap_or(Head::EMPTY));
        heads
    }

    fn verify(&self, anchored: Option<Head>) -> Result<Verified, VerifyError> {
        verify(&self.directory(), &Key::load(&self.key()).unwrap(), anchored, |_| {})
    }

    /// The files of the segments.
    fn segments(&self) -> Vec<PathBuf> {
        segments::list(&self.directory()).unwrap().into_iter().map(|segment| segment.path).collect()
    }

    /// All lines, each with its line break, by segment.
    fn lines(&self) -> Vec<Vec<Vec<u8>>> {
        let split = |path| {
            let text: Vec<u8> = fs::read(path).unwrap();
            text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
        };
        self.segments().into_iter().map(split).collect()
    }

    fn write(&self, lines: &[Vec<Vec<u8>>]) {
        for (path, lines) in self.segments().into_iter().zip(lines) {
            fs::write(path, lines.concat()).unwrap();
        }
    }
}

fn action(target: &str) -> Entry {
    let who = Who { subject: Some("ada".to_owned()), ..Who::default() };
    Entry {
        operation: Some("cache.clear".to_owned()),
        target: Some(target.to_owned()),
        ..Entry::new(Action::AdminAction, who, Outcome::Intended)
    }
}

fn note(action: Action) -> Entry {
    Entry::new(action, Who::default(), Outcome::Refused)
}

//! The trace of a run: lines for people, and a fingerprint to compare runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

/// The source of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    World,
    Node(usize),
    Client(usize),
}

/// Each line has its time and its source.
#[derive(Debug, Default)]
pub(crate) struct Trace(Mutex<Vec<(u64, Source, String)>>);

impl Trace {
    pub(crate) fn note(&self, at: u64, source: Source, line: String) {
        self.0.lock().unwrap().push((at, source, line));
    }

    /// The same for the same run. Each source is hashed by itself: when an engine stops, ractor stops its actors in the
    /// order of a hash map, so several clients may get their answers in any order at the same time.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut sources: BTreeMap<Source, u64> = BTreeMap::new();
        for (at, source, line) in &*self.0.lock().unwrap() {
            let hash = sources.entry(*source).or_insert(0xcbf2_9ce4_8422_2325);
            // FNV-1a, 64 bits (Fowler, Noll, Vo).
            for byte in at.to_le_bytes().iter().chain(line.as_bytes()) {
                *hash = (*hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        sources.values().fold(0, |all: u64, hash| all.rotate_left(7).wrapping_add(*hash))
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(at, source, line)| format!("{at:>6} ms  {source:<9} {line}")).collect()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::World => "world".to_owned(),
            Self::Node(number) => format!("node {number}"),
            Self::Client(number) => format!("client {number}"),
        };
        formatter.pad(&name)
    }
}

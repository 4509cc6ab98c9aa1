//! The record of the calls of a store.

use dormouse_kernel::Version;

/// One read of an aggregate's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The aggregate's id.
    pub id: String,
    /// The version after which it starts.
    pub after: Version,
}

#[derive(Debug, Default)]
pub(crate) struct CallRecord {
    /// Appends per commit.
    pub(crate) batches: Vec<usize>,
    pub(crate) look_ups: usize,
    pub(crate) reads: Vec<Read>,
    /// Snapshots by id and version.
    pub(crate) snapshots: Vec<(String, Version)>,
    pub(crate) violations: Vec<String>,
}

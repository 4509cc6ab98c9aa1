//! What was asked of a store.

use dormouse_kernel::Version;

/// One reading of an aggregate's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Of which aggregate.
    pub id: String,
    /// From behind which version on.
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

//! What a verdict finds.

use std::fmt;

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which promise.
    pub broken: Promise,
    /// About which aggregate.
    pub aggregate: String,
    /// What was seen.
    pub seen: String,
}

/// What every client may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Promise {
    /// What was acknowledged is there, at the version that was told.
    AcknowledgedIsThere,
    /// No command happens twice.
    AtMostOnce,
    /// What was refused did not happen.
    RefusedIsAbsent,
    /// Versions are 1..n, positions ascend, and no position is shared.
    HistoryIsDense,
    /// Whatever was answered before a command was sent has a lower version.
    AnsweredFirstCameFirst,
    /// A read shows at least what was answered, or shown, before it was sent.
    ReadsAreFresh,
    /// What a read showed has stayed, and was what the events amounted to.
    ReadsAreTrue,
    /// The state is what the events amount to, and no event contradicts those before it.
    StateIsFold,
    /// A command that is sent again gets its first outcome.
    RetriesGetTheFirstOutcome,
    /// The server answers when asked about an aggregate.
    Readable,
}

impl Finding {
    pub(super) fn new(broken: Promise, aggregate: &str, seen: impl Into<String>) -> Self {
        Self { broken, aggregate: aggregate.to_owned(), seen: seen.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.broken, self.aggregate, self.seen)
    }
}

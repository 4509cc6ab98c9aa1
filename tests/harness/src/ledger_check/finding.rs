//! The findings of a check.

use std::fmt;

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The promise.
    pub broken: Promise,
    /// The aggregate.
    pub aggregate: String,
    /// A description of what was found.
    pub seen: String,
}

/// The promises that every client may rely on, and those to aggregates, timers and handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Promise {
    /// An acknowledged command is in the history, at the version of its answer.
    AcknowledgedIsThere,
    /// No command is in the history twice.
    AtMostOnce,
    /// A refused command is not in the history.
    RefusedIsAbsent,
    /// Versions are 1..n, positions ascend, and no position is shared.
    HistoryIsDense,
    /// If A was answered before B was sent, A has the lower version.
    AnsweredFirstCameFirst,
    /// A read returns at least the versions of the answers and reads that ended before it was sent.
    ReadsAreFresh,
    /// The state that a read returned is the fold of the events up to its version, now and later.
    ReadsAreTrue,
    /// The state is the fold of the events, and no event contradicts the events before it.
    StateIsFold,
    /// A command that is sent again gets its first outcome.
    RetriesGetTheFirstOutcome,
    /// The server returns history and state of the aggregate.
    Readable,
    /// No money is lost or made by transfers.
    MoneyIsConserved,
    /// A confirmed order has its stock, once, until it is shipped. An order that is rejected or cancelled has none.
    StockIsConserved,
    /// Each message takes effect, and takes effect once. Refusals reach their senders.
    MessagesArriveOnce,
    /// What one aggregate causes happens in the order of its events.
    SequencesKeepOrder,
    /// Each event has its effect outside, at least once.
    EffectsHappen,
    /// All attempts at one event have the same key, and attempts at other events have others.
    EffectsHaveOneKey,
    /// Each timer fires, and fires once. One that was replaced or cancelled does not.
    TimersFireOnce,
}

impl Finding {
    pub(crate) fn new(broken: Promise, aggregate: &str, seen: impl Into<String>) -> Self {
        Self { broken, aggregate: aggregate.to_owned(), seen: seen.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.broken, self.aggregate, self.seen)
    }
}

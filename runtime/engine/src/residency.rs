//! How many aggregates of a type are in memory.

use dormouse_kernel::AggregateId;

/// How many aggregates of a type are in memory, and what keeps others from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residency {
    /// The aggregate type.
    pub aggregate_type: &'static str,
    /// Aggregates that have an actor.
    pub live: usize,
    /// Of these, the aggregates that are being loaded.
    pub waking: usize,
    /// Aggregates that an operator must release, each with the reason.
    pub quarantined: Vec<(AggregateId, String)>,
    /// Why the engine ignores snapshots that other programs wrote. `None` if it does not ignore them.
    pub snapshots_ignored: Option<String>,
}

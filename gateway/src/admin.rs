//! What the admin API answers about the read side, in one place for those who write it (`http`) and those who read it
//! (`cli`).

use dormouse_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All projections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Overview {
    /// The last event of the log.
    pub(crate) head: u64,
    pub(crate) projections: Vec<Projection>,
    /// Views whose projections are not in the application any more. `None`: the views do not say.
    pub(crate) orphans: Option<Vec<String>>,
}

/// How far a projection is, and how it fares.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Projection {
    pub(crate) name: String,
    pub(crate) state: String,
    /// What is wrong, if something is.
    pub(crate) reason: Option<String>,
    /// The number of the build that is served, and the version of the code that made it.
    pub(crate) build: Option<u64>,
    pub(crate) version: Option<u32>,
    /// The last event that is in it, and how many came after that.
    pub(crate) position: u64,
    pub(crate) lag: u64,
    /// It was reset to there: what came before is not in it, and what rests on that is wrong. Zero: it has everything.
    #[serde(default)]
    pub(crate) begun_after: u64,
    /// Aggregates whose events are parked.
    pub(crate) parked: usize,
    /// What is made beside it.
    pub(crate) rebuild: Option<Rebuild>,
}

/// How far a build is that is made beside the one that is served.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rebuild {
    pub(crate) build: u64,
    pub(crate) version: u32,
    pub(crate) state: String,
    /// What is wrong, if something is.
    pub(crate) reason: Option<String>,
    pub(crate) started_at: Timestamp,
    /// The last event that is in it, and how many came after that.
    pub(crate) position: u64,
    pub(crate) lag: u64,
    pub(crate) events_per_second: f64,
    /// Until it is served. Nobody knows before it has a rate.
    pub(crate) seconds_left: Option<f64>,
}

/// Events that wait outside a view.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ParkedPage {
    pub(crate) parked: Vec<ParkedEvent>,
    /// The address of the next page.
    pub(crate) next: Option<String>,
}

/// An event that waits outside a view.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ParkedEvent {
    /// The type and the id of its aggregate.
    pub(crate) aggregate: String,
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) position: u64,
    /// Why it cannot be projected. `None`: it waits behind an earlier one.
    pub(crate) reason: Option<String>,
    pub(crate) attempts: u32,
    /// The event itself, where one aggregate is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<Value>,
}

/// An aggregate type, and how many of its aggregates have snapshots.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshottedType {
    pub(crate) aggregate: String,
    pub(crate) aggregates: u64,
}

/// What was found of the snapshots of some aggregates.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct VerifiedSnapshots {
    /// Aggregates that were looked at.
    pub(crate) aggregates: u64,
    /// Snapshots that were compared with what their events lead to.
    pub(crate) snapshots: u64,
    /// Snapshots that nobody uses.
    pub(crate) unused: u64,
    pub(crate) differing: Vec<DifferingSnapshots>,
    /// The aggregate behind which to go on. `None`: that was all.
    pub(crate) next: Option<String>,
}

/// The snapshots of one aggregate that differ.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DifferingSnapshots {
    pub(crate) id: String,
    pub(crate) versions: Vec<u64>,
}

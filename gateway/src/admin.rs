//! The JSON documents of the admin API about the read side, shared by the server (`http`) and the command line (`cli`).

use dormouse_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All projections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Overview {
    /// The last event of the log.
    pub(crate) head: u64,
    pub(crate) projections: Vec<Projection>,
    /// Views whose projections were removed from the application. `None`: the store of the views does not answer.
    pub(crate) orphans: Option<Vec<String>>,
}

/// The position and state of a projection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Projection {
    pub(crate) name: String,
    pub(crate) state: String,
    /// What is wrong, if something is.
    pub(crate) reason: Option<String>,
    /// The number of the build that is served, and the version of the code that built it.
    pub(crate) build: Option<u64>,
    pub(crate) version: Option<u32>,
    /// The last event that the view contains, and the number of later events.
    pub(crate) position: u64,
    pub(crate) lag: u64,
    /// The view was reset to this position: it lacks the events up to there, and documents that depend on them are
    /// wrong. Zero: it has all events.
    #[serde(default)]
    pub(crate) begun_after: u64,
    /// The number of aggregates with parked events.
    pub(crate) parked: usize,
    /// The build that is in progress beside the one that is served.
    pub(crate) rebuild: Option<Rebuild>,
}

/// The progress of a rebuild.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rebuild {
    pub(crate) build: u64,
    pub(crate) version: u32,
    pub(crate) state: String,
    /// What is wrong, if something is.
    pub(crate) reason: Option<String>,
    pub(crate) started_at: Timestamp,
    /// The last event that the new build contains, and the number of later events.
    pub(crate) position: u64,
    pub(crate) lag: u64,
    pub(crate) events_per_second: f64,
    /// Time until the build is served. `None` while the rate is unknown.
    pub(crate) seconds_left: Option<f64>,
}

/// A page of parked events, which their view does not contain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ParkedPage {
    pub(crate) parked: Vec<ParkedEvent>,
    /// The address of the next page.
    pub(crate) next: Option<String>,
}

/// A parked event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ParkedEvent {
    /// The type and the id of its aggregate.
    pub(crate) aggregate: String,
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) position: u64,
    /// Why it cannot be projected. `None`: it waits for an earlier event of its aggregate.
    pub(crate) reason: Option<String>,
    pub(crate) attempts: u32,
    /// The event itself, if the request names an aggregate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<Value>,
}

/// An aggregate type, with the number of its aggregates that have snapshots.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshottedType {
    pub(crate) aggregate: String,
    pub(crate) aggregates: u64,
}

/// The result of checking the snapshots of some aggregates.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct VerifiedSnapshots {
    /// Aggregates that were checked.
    pub(crate) aggregates: u64,
    /// Snapshots that were compared with the states of their events.
    pub(crate) snapshots: u64,
    /// Snapshots of another shape or version, which are not used.
    pub(crate) unused: u64,
    pub(crate) differing: Vec<DifferingSnapshots>,
    /// The aggregate after which the next page begins. `None`: this was the last page.
    pub(crate) next: Option<String>,
}

/// The snapshots of one aggregate that differ from its events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DifferingSnapshots {
    pub(crate) id: String,
    pub(crate) versions: Vec<u64>,
}

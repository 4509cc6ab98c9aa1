//! How an operation ends.

use dormouse_kernel::{Mark, Position, Version, bytes};
use serde::{Deserialize, Serialize};

/// How an operation ends: the aggregate has accepted the command, or nobody will carry it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The aggregate has accepted the command.
    Succeeded(Success),
    /// The command was refused, and would be refused again.
    Refused(FinalRefusal),
}

/// The outcome of a command that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Success {
    /// The version of the aggregate after the command.
    pub version: Version,
    /// The mark of its chain at that version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// The position of its last event. If it made none, the head of the journal at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The names and versions of its events, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<(String, Version)>,
    /// The reply of the aggregate, in MessagePack with field names.
    #[serde(with = "bytes")]
    pub reply: Vec<u8>,
}

/// Why a command was refused for good: the problem that its client would have got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalRefusal {
    /// The stable name of the problem's type, such as `rejected` or `version-mismatch`.
    pub problem: String,
    /// The problem in words.
    pub detail: String,
    /// The code of the domain's rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The version that the aggregate has, if another one was required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
}

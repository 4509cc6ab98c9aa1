//! `[supervision]`: what happens after a panic or a lost component.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// What happens after a panic or a lost component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supervision {
    /// Restarts of one child within `window` before its supervisor escalates. Default 5; zero escalates at the first
    /// failure.
    pub restarts: u32,
    /// The time over which restarts are counted. Default 60 s.
    #[serde(with = "text::duration")]
    pub window: Duration,
    /// Wait before the first restart, doubled with each further one. Default 100 ms.
    #[serde(with = "text::duration")]
    pub backoff_min: Duration,
    /// Longest wait between restarts. Default 30 s; lower it to notice sooner that a database came back.
    #[serde(with = "text::duration")]
    pub backoff_max: Duration,
}

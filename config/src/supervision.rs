//! `[supervision]`: restarts after a panic or the loss of a component.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// Restarts after a panic or the loss of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supervision {
    /// Restarts of one component within `window` before its supervisor gives up. Default 5; zero gives up at the first
    /// failure.
    pub restarts: u32,
    /// The time within which restarts are counted. Default 60 s; raise it to notice failures that are further apart.
    #[serde(with = "text::duration")]
    pub window: Duration,
    /// The pause before the second restart within the window, doubled with each further one. Default 100 ms; raise it
    /// if a restart is costly.
    #[serde(with = "text::duration")]
    pub backoff_min: Duration,
    /// Longest pause between restarts. Default 30 s; lower it to notice earlier that a database is back.
    #[serde(with = "text::duration")]
    pub backoff_max: Duration,
}

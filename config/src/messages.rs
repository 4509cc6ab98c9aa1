//! `[messages]`: how messages between aggregates, reactors and timers are delivered.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// How messages between aggregates, reactors and timers are delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// Deliveries in progress at a time. Default 256; raise it for many aggregates that talk at the same time.
    pub in_flight: NonZeroUsize,
    /// After this many failed attempts, a message is a dead letter. A refusal is no failure. Default 4.
    pub tries: NonZeroU32,
    /// The pause before the second attempt. It doubles with each further one. Default 500 ms.
    #[serde(with = "text::duration")]
    pub backoff_min: Duration,
    /// Longest pause between attempts. Default 30 s.
    #[serde(with = "text::duration")]
    pub backoff_max: Duration,
    /// Longest time of one attempt. Default 30 s.
    #[serde(with = "text::duration")]
    pub timeout: Duration,
}

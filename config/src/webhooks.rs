//! `[webhooks]`: events that are sent to receivers on the web.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// Events that are sent to receivers on the web.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Whether receivers may have private addresses. Default `false`; set it for receivers in a network of your own.
    pub allow_private: bool,
    /// Time for a delivery, from the lookup of the name to the end of the response. Default 10 s.
    #[serde(with = "text::duration")]
    pub timeout: Duration,
    /// After this many failed attempts, a delivery is a dead letter. Default 10.
    pub tries: NonZeroU32,
}

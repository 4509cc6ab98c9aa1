//! `[limits]`: how often a caller may ask.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::Rate;

/// How often a caller may ask. A caller is the subject of a token or an API key, or else an address. Each class of
/// requests has a rate of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Commands, and the lines of bulk requests. Default off; the profiles `production` and `enterprise` set it.
    pub commands: Rate,
    /// Reads: states, histories, views, outcomes, and the beginning of streams. Default off; the profiles set it.
    pub queries: Rate,
    /// What operators look at and change. Default off; the profiles set it.
    pub admin: Rate,
    /// Tokens and API keys that are verified, for each address. Default off; the profiles set it.
    pub auth: Rate,
    /// Callers that are remembered, for each rate. Default 100,000.
    pub callers: NonZeroUsize,
}
